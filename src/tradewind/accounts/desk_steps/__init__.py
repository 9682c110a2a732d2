"""The steps by which the database of the desk came to look as it does; `open_desk` takes those that are missing."""
