"""The steps by which the database of jobs came to look as it does; `open_jobs` takes those that are missing."""
