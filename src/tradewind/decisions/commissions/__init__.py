"""What commission per product and tier of creators, who should pay for it, and where should a side refuse?"""

from tradewind.decisions.commissions.answer import IMPROVED_BY, study
from tradewind.decisions.commissions.goods import require
from tradewind.decisions.commissions.learning import NEEDS, CommissionsSettings, Learnt, learn

__all__ = ["IMPROVED_BY", "NEEDS", "CommissionsSettings", "Learnt", "learn", "require", "study"]
