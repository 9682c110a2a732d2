"""How is the business doing, and where is it heading?"""

from tradewind.decisions.performance.answer import IMPROVED_BY, NEEDS, PerformanceSettings, study

__all__ = ["IMPROVED_BY", "NEEDS", "PerformanceSettings", "study"]
