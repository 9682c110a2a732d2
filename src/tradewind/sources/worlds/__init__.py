"""Worlds: simulated marketplaces whose truth is known, to prove methods on and to compete in."""
