"""The steps by which a ledger's database came to look as it does; `open_ledger` takes those that are missing."""
