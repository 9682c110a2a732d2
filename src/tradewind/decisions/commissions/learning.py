"""What is learnt of contracts, and what any rate of any product is worth by it, to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.effort import Effort, effort
from tradewind.decisions.commissions.gains import Brought, Gains
from tradewind.decisions.commissions.gifts import PIECES
from tradewind.decisions.commissions.goods import Goods, goods
from tradewind.decisions.commissions.past import Past, past, weeks_until
from tradewind.decisions.commissions.worth import Worth, worth
from tradewind.engines.campaigns import Rush, rush
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.measures.query import Query
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.study import Action, Estimate, Evidence, Lever, Party, Setting

Array = NDArray[np.float64]

PLACES = ("surface", "form", "relation")
"""Where products are shown: creators are compared with sellers in the same place."""
NEEDS = (
    "order_lines",
    "commissions",
    "traffic",
    *(f"{table}.{name}" for table in ("order_lines", "traffic") for name in PLACES),
)
LEVEL = 0.9
BLOCK = 2_000  # settings that are appraised at once
STANDS = 28  # days after which contracts have changed too much for the numbers to be used


@dataclass(frozen=True)
class CommissionsSettings:
    """What to appraise.

    Args:
        creator: Id of a creator: speak of this creator's lines only.
        days: Days for which a new rate would hold.
        rates: Rates of the price to consider, such as 0.1 or 10%.
        seed: Seed of the intervals.
    """

    creator: str = ""
    days: int = 28
    rates: tuple[str, ...] = ("0.05", "0.1", "0.15", "0.2", "0.3")
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.days <= 365:
            raise BadInputError("The days of a new rate are out of range", got=self.days, allowed="1 to 365")
        if not self.menu:
            raise BadInputError("No rate was named to consider", do="name one or more, such as 0.1")

    @property
    def menu(self) -> tuple[float, ...]:
        """The rates as numbers, in rising order."""
        return tuple(sorted({_rate(text) for text in self.rates}))


def _rate(text: str) -> float:
    """Return a rate that was written, such as `0.1` or `10%`."""
    written = text.strip()
    try:
        found = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError as error:
        raise BadInputError(
            "A rate is a number", got=text, allowed="shares of the price, such as 0.1 or 10%"
        ) from error
    if 0 <= found < 1:
        return found
    percent = f"{written}% or {found / 100:g}" if 1 <= found < 100 and "%" not in written else ""
    raise BadInputError(
        "A rate is a share of the price", got=text, allowed="from 0 to below 1, or from 0% to below 100%",
        do=f"write {percent} if that is what you mean" if percent else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Learnt:
    """What is known of contracts by the end of a period.

    Args:
        goods: Products, and what a piece brings.
        past: Contracts, exposure and sales through creators.
        effort: How creators answer to rates.
        worth: What exposure brings.
        period: The base.
        settings: What to appraise.
        currency: ISO 4217 code of all money.
        rush: Days of the marketplace's campaigns, and how many pieces creators sell on them.
        usual: Ordinary days that a day of the weeks which tell what exposure brings counts for.
    """

    goods: Goods
    past: Past
    effort: Effort
    worth: Worth
    period: Period
    settings: CommissionsSettings
    currency: str
    rush: Rush
    usual: float

    def busy(self, days: Period) -> float:
        """Return how many days such as those known would bring as much as some days to come."""
        return self.rush.ordinary(days) / self.usual

    def appraise(self, actions: Sequence[Action], gains: Gains | None = None) -> tuple[Action, ...]:
        """Return the same actions with what every setting brings to whom.

        Args:
            actions: Actions of the lever commission on products; any rates.
            gains: What `gains` returned, which takes room; made anew where left out.

        Raises:
            BadInputError: If an action pulls another lever, names no product, or a setting has no rate.
        """
        for action in actions:
            if action.lever != Lever.COMMISSION or action.subject.kind != "product":
                raise BadInputError(
                    "Commissions appraises rates of products only", got=f"{action.lever} on {action.subject.kind}"
                )
            if any("rate" not in setting.dose for setting in action.menu):
                raise BadInputError("A setting of a commission names its rate", got=action.key)
            for name, share in ((n, s.dose[n]) for s in action.menu for n in ("rate", "platform") if n in s.dose):
                if not 0 <= share <= 1:
                    raise BadInputError(f"The {name} of a commission is a share", got=share, allowed="from 0 to 1")
        number = {name: n for n, name in enumerate(self.goods.ids)}
        flat = [(n, setting) for n, action in enumerate(actions) for setting in action.menu]
        product = np.array([number.get(actions[n].subject.id, -1) for n, _ in flat], np.int64)
        rate = np.array([setting.dose["rate"] for _, setting in flat])
        days = np.array([self.busy(actions[n].days) for n, _ in flat])
        platform = np.array([setting.dose.get("platform", np.nan) for _, setting in flat])
        gains = self.gains() if gains is None else gains
        pays = np.append(gains.pays(), [[np.nan], [np.nan]], axis=1)  # the last is that of a product nobody knows
        share = np.nan_to_num(pays[1])
        told: list[Setting] = []
        beside: list[float] = []
        for start in range(0, len(flat), BLOCK):
            part = slice(start, start + BLOCK)
            brought = gains(product[part], rate[part], days[part])
            told += _told([setting for _, setting in flat[part]], brought, share[product[part]], platform[part])
            beside += brought.beside.mean(axis=0).tolist()
        found, at = [], 0
        for action in actions:
            some = slice(at, at + len(action.menu))
            at, menu, now = some.stop, tuple(told[some]), pays[0][number.get(action.subject.id, -1)]
            known = np.isfinite(now) and not self.supposed
            found.append(
                replace(
                    action, menu=menu, evidence=Evidence.OBSERVATIONAL if known else Evidence.ASSUMED,
                    why=self._why(replace(action, menu=menu), now, beside[some]),
                    expires=self.period.last + timedelta(days=STANDS),
                )
            )  # fmt: skip
        return tuple(found)

    @property
    def supposed(self) -> tuple[str, ...]:
        """What the gains rest on that no data told."""
        known = self.effort
        words = {
            "how creators answer to a rate": known.curve.told,
            "how much of what creators show is new": known.new.told,
            "what one line takes from a creator's others": known.crowding.told, "unit costs": not self.goods.assumed,
            "how much better sells what creators show": known.lift.told,
            "what creators take from sales elsewhere": known.taken.told,
        }  # fmt: skip
        return tuple(word for word, told in words.items() if not told)

    def gains(self) -> Gains:
        """Return what tells the gains of rates: one set of draws."""
        return Gains(self.goods, self.past, self.effort, self.worth, self.settings.seed)

    def _why(self, action: Action, now: float, beside: Sequence[float]) -> str:
        """Say what the best setting brings to whom, and how much of it comes of what creators show besides."""
        if not np.isfinite(now):
            return "No contract of this product holds, so that no rate of it changes anything."
        joints = [setting.joint.mid if setting.joint else 0.0 for setting in action.menu]
        place = int(np.argmax(joints))
        best, among = action.menu[place], " the best of these rates," if len(joints) > 1 else ""

        def money(value: float | Estimate | None, signed: bool = True) -> str:
            return human(value, "money", self.currency, signed=signed)

        merchant, platform, creators = (best.gain[party] for party in (Party.MERCHANT, Party.PLATFORM, Party.CREATOR))
        others = joints[place] - sum(gain.mid for gain in best.gain.values())
        return (
            f"At {human(best.dose['rate'], 'share')} in place of {human(now, 'share')},{among} "
            f"{several(action.days.days, 'day')} would bring {money(best.joint)} for all parties together: "
            f"the merchant {money(merchant)}, the platform {money(platform.mid)}, creators {money(creators.mid)} and "
            f"others {money(others)}. Of this, {money(beside[place])} comes of what the "
            "same creators then show of other products; of this product they would sell "
            f"{money(best.attributed, False)}."
        )


def learn(store: Store, period: Period, settings: CommissionsSettings | None = None) -> Learnt:
    """Learn all that contracts tell by the end of a period.

    Args:
        store: The store, as the caller may see it.
        period: The days whose demand is the base of what is to come.
        settings: What to appraise.

    Raises:
        MissingDataError: If the store lacks contracts, exposure by creator or unit costs, or contracts tell nothing.
    """
    for name, words in (("commissions", "contracts with creators"), ("traffic", "exposure by creator")):
        if not store.has(name):
            raise MissingDataError(
                f"Commissions cannot be judged: the source has no {words}", got=store.provenance.source,
                do=f"import the table {name}; see `tradewind check`",
            )  # fmt: skip
    if not store.has("order_lines", "creator_id"):
        raise MissingDataError(
            "Commissions cannot be judged: no order here came through a creator", got=store.provenance.shops or None,
            do="take more shops, or import through whom orders came (order_lines.creator_id)",
        )  # fmt: skip
    if lacking := [name for name in NEEDS if "." in name and not store.has(*name.split("."))]:
        raise MissingDataError(
            "Commissions cannot be judged: where products are shown and sold is not told",
            got=f"no {', '.join(lacking)}",
            do="fill it in the SQL of the source; where nothing tells surfaces or forms apart, one for all is enough: "
            "'feed' AS surface",
        )  # fmt: skip
    seen = period.within(store.span)
    store = store.known_by(seen.end(store.provenance.timezone))
    settings = settings or CommissionsSettings()
    weeks = weeks_until(store, seen.last)
    window = Period(weeks[0].first, seen.last)
    known = goods(store, window)
    contracts = past(store, known.ids, seen)
    busy = rush(store, window, _sold(store, window))
    return Learnt(
        known, contracts, effort(contracts, known, settings.seed),
        worth(contracts, known, whole=store.provenance.whole_marketplace), seen, settings,
        store.provenance.currency, busy, busy.ordinary(window) / window.days,
    )  # fmt: skip


def _sold(store: Store, days: Period) -> Array:
    """Pieces sold through creators, day by day."""
    found = store.metrics(Query((PIECES,), days, every="day", where={"relation": ("affiliate",)})).to_pydict()
    out = np.zeros(days.days)
    for day, pieces in zip(found["day"], found[PIECES.name], strict=True):
        out[(day - days.first).days] = float(pieces)
    return out


def _told(settings: Sequence[Setting], brought: Brought, share: Array, platform: Array) -> list[Setting]:
    """Return settings with their gains, where the platform pays a share of the commission now, and another then."""
    then = np.where(np.isfinite(platform), platform, share)
    by_platform = then * brought.after - share * brought.before
    by_merchant = brought.after - brought.before - by_platform
    parts = {
        Party.MERCHANT: brought.merchant - by_merchant, Party.PLATFORM: brought.platform - by_platform,
        Party.CREATOR: brought.creators + brought.after - brought.before,
    }  # fmt: skip
    gains = {party: estimates(values) for party, values in parts.items()}
    joint, own = estimates(brought.joint), estimates(brought.own)
    through = brought.through.mean(axis=0)
    return [
        replace(
            setting,
            gain={party: told[n] for party, told in gains.items()},
            joint=joint[n],
            attributed=float(through[n]),
            own=own[n],
        )
        for n, setting in enumerate(settings)
    ]


def estimates(values: Array) -> list[Estimate]:
    """Return means over draws [draws, n], with intervals."""
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    mid = values.mean(axis=0)
    ends = zip(mid.tolist(), np.minimum(low, mid).tolist(), np.maximum(high, mid).tolist(), strict=True)
    return [Estimate(middle, least, most, LEVEL) for middle, least, most in ends]


__all__ = ["NEEDS", "CommissionsSettings", "Learnt", "estimates", "learn"]
