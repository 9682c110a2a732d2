"""The server: one process a core that answers requests, and one that does long jobs, over one store."""
