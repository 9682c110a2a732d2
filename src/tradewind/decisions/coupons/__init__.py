"""Coupons: which customer gets which coupon, under which budget, for the most incremental profit?"""

from tradewind.decisions.coupons.answer import IMPROVED_BY, NEEDS, study
from tradewind.decisions.coupons.learnt import Learnt, learn
from tradewind.decisions.coupons.record import require
from tradewind.decisions.coupons.settings import CouponsSettings

__all__ = ["IMPROVED_BY", "NEEDS", "CouponsSettings", "Learnt", "learn", "require", "study"]
