"""Studies of one shop, product, creator, customer segment or live session."""
