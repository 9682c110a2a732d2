"""The steps by which the database of accounts came to look as it does; `open_accounts` takes those that are missing."""
