"""The ledger: what was promised, launched, held out and proven, kept in a database that is only ever added to."""

from tradewind.ledger.chain import Head
from tradewind.ledger.crossing import Crossing
from tradewind.ledger.export import Exported
from tradewind.ledger.ledger import Ledger, Receipt, Status
from tradewind.ledger.opening import open_ledger
from tradewind.ledger.promise import Approval, Promise
from tradewind.ledger.reading import Kept, Reading
from tradewind.ledger.registration import Terms
from tradewind.ledger.standing import Experiment, Launch, State
from tradewind.ledger.track import Track, shrunk
from tradewind.ledger.verification import Verdict

__all__ = [
    "Approval", "Crossing", "Experiment", "Exported", "Head", "Kept", "Launch", "Ledger", "Promise", "Reading",
    "Receipt", "State", "Status", "Terms", "Track", "Verdict", "open_ledger", "shrunk",
]  # fmt: skip
