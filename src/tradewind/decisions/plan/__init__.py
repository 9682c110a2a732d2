"""Of all these actions, which, at which setting, under the budgets?"""

from tradewind.decisions.plan import proof
from tradewind.decisions.plan.answer import named, study
from tradewind.decisions.plan.folder import HEAD, Kept, check_folder, read_plan, write_plan
from tradewind.decisions.plan.holdouts import Held, holdouts
from tradewind.decisions.plan.pick import Planner, Point
from tradewind.decisions.plan.rules import budgets, rules
from tradewind.decisions.plan.table import JOINT, gain_of
from tradewind.decisions.plan.words import Names, deed, worded

__all__ = [
    "HEAD", "JOINT", "Held", "Kept", "Names", "Planner", "Point", "budgets", "check_folder", "deed", "gain_of",
    "holdouts", "named", "proof", "read_plan", "rules", "study", "worded", "write_plan",
]  # fmt: skip
