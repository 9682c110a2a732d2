"""The arena: policies act on the same history under the same budgets, and the truth of a world scores them."""
