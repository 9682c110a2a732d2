"""How does demand answer to price and promotion; which price, which campaign, which depth?"""

from tradewind.decisions.prices.answer import IMPROVED_BY, NEEDS, PricesSettings, learn, require, study
from tradewind.decisions.prices.learnt import Learnt

__all__ = ["IMPROVED_BY", "NEEDS", "Learnt", "PricesSettings", "learn", "require", "study"]
