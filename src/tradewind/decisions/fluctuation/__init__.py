"""Why did a metric move? The tree, the slices, and the dated causes, each with its share of the change."""

from tradewind.decisions.fluctuation.answer import IMPROVED_BY, NEEDS, FluctuationSettings, study
from tradewind.decisions.fluctuation.exploring import Branch, Tree, Way, explored, metrics_of

__all__ = [
    "IMPROVED_BY", "NEEDS", "Branch", "FluctuationSettings", "Tree", "Way", "explored", "metrics_of", "study",
]  # fmt: skip
