"""Why did a metric move? The tree, the slices, and the dated causes, each with its share of the change."""

from tradewind.decisions.fluctuation.answer import IMPROVED_BY, NEEDS, FluctuationSettings, study

__all__ = ["IMPROVED_BY", "NEEDS", "FluctuationSettings", "study"]
