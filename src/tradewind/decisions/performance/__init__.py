"""How is the business doing, and where is it heading?"""

from tradewind.decisions.performance.answer import IMPROVED_BY, NEEDS, PerformanceSettings, study
from tradewind.decisions.performance.brief import BriefSettings, brief, prepare

__all__ = ["IMPROVED_BY", "NEEDS", "BriefSettings", "PerformanceSettings", "brief", "prepare", "study"]
