"""Click rates, responses to messages and live viewers for `worlds.py`: of a world, Open Bandit, Hillstrom, RobustSpot.

Each function returns what a source tells, by the name of the statistic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tradewind.engines.store import Store
from worlds_orders import gini, top_tenth

WITHIN = 14
"""Days after a message in which visits and orders count: Hillstrom's two weeks."""
SETTLED = 15
"""Minutes at both ends of a room that are left out: viewers are still coming, or going."""
APART = 15
"""Minutes from the middle of a drift's first five minutes to that of its last five."""


class Told(NamedTuple):
    """What a source tells of a statistic.

    Args:
        value: Value; not a number where the source does not tell it.
        noise: Standard error.
        note: What must be known to read it.
    """

    value: float
    noise: float = 0.0
    note: str = ""

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return ""
        noise = f" ± {self.noise:.2g}" if self.noise > 1e-6 * abs(self.value) else ""
        return f"{self.value:.3g}{noise}" + (f" ({self.note})" if self.note else "")


def share(hits: float, of: float) -> Told:
    """Return a share of independent cases."""
    rate = hits / of if of else float("nan")
    return Told(rate, math.sqrt(rate * (1 - rate) / of))


def ratio(over: Told, under: Told) -> Told:
    """Return the ratio of two independent shares with its interval of 95 %."""
    value = over.value / under.value
    log = math.hypot(over.noise / over.value, under.noise / under.value)
    low, high = value * math.exp(-1.96 * log), value * math.exp(1.96 * log)
    return Told(value, value * log, f"{low:.3g} to {high:.3g}")


def pace(told: Told) -> Told:
    """Return the rate a day that makes such a share in two weeks: unlike the share, it has no ceiling."""
    return Told(-math.log1p(-told.value) / WITHIN, told.noise / (1 - told.value) / WITHIN)


# Click rates


def open_bandit(data: Path) -> Iterator[tuple[str, str, Told]]:
    """Yield click rates of recommendation slots in a fashion shop's page, by policy and by position."""
    for policy in ("random", "bts"):
        log = pd.read_csv(data / "open_bandit" / policy / "men" / "men.csv", usecols=["position", "click"])
        name = f"Open Bandit, {policy}"
        yield "CTR of cards in the mall", name, share(log["click"].sum(), len(log))
        for position, group in log.groupby("position"):
            yield f"CTR at position {position} of 3", name, share(group["click"].sum(), len(group))


def clicks(store: Store) -> Iterator[tuple[str, Told]]:
    """Yield a world's click rates by surface, and the rates of its funnel; their noise by leaving out weeks."""
    table = store.table("traffic")
    sums = table.group_by("day", "surface", "form").aggregate(
        impressions=table.impressions.sum(), clicks=table.clicks.sum(), carts=table.carts.sum()
    )
    daily = store.run(sums).to_pandas().astype({"impressions": float, "clicks": float, "carts": float})
    events = store.table("order_lines")
    orders = store.run(events.group_by("day").aggregate(orders=events.order_id.nunique())).to_pandas()
    orders["orders"] = orders["orders"].astype(float)
    for surface, group in daily[daily["form"] == "card"].groupby("surface"):
        yield f"CTR of cards in the {surface}", _by_week(group, "clicks", "impressions")
    for form, group in daily[daily["form"] != "card"].groupby("form"):
        yield (
            f"CTR of {form}s" if form == "video" else "CTR of products in live rooms",
            _by_week(group, "clicks", "impressions"),
        )
    funnel = daily.groupby("day", as_index=False)[["impressions", "clicks", "carts"]].sum().merge(orders, on="day")
    yield "clicks per impression", _by_week(funnel, "clicks", "impressions")
    yield "carts per click", _by_week(funnel, "carts", "clicks")
    yield "orders per cart", _by_week(funnel, "orders", "carts")
    yield "orders per click (CVR)", _by_week(funnel, "orders", "clicks")


def _by_week(daily: pd.DataFrame, over: str, under: str) -> Told:
    week = (pd.to_datetime(daily["day"]) - pd.Timestamp(daily["day"].min())).dt.days // 7
    sums = daily.groupby(week.to_numpy())[[over, under]].sum()
    whole = sums.sum()
    left = (whole[over] - sums[over]) / (whole[under] - sums[under])
    noise = math.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum())
    return Told(float(whole[over] / whole[under]), noise)


# Messages


def _answers(name: str, sent: Told, held: Told) -> Iterator[tuple[str, Told]]:
    yield f"{name} within 14 days, not written to", held
    yield f"{name} within 14 days, written to", sent
    yield f"{name}: ratio of written to to not", ratio(sent, held)
    if name == "visits":  # so many visit in two weeks that a ratio of shares has a ceiling
        yield "visits: ratio of rates a day, written to to not", ratio(pace(sent), pace(held))


def hillstrom(data: Path) -> Iterator[tuple[str, str, Told]]:
    """Yield visits and orders within two weeks of an e-mail and without one; both e-mails pooled, each in the note."""
    people = pd.read_csv(data / "hillstrom" / "hillstrom.csv", usecols=["treatment", "visit", "conversion"])
    arms = {arm: group for arm, group in people.groupby("treatment")}
    control = arms.pop("No E-Mail")
    for name, column in (("visits", "visit"), ("orders", "conversion")):
        held = share(control[column].sum(), len(control))
        both = pd.concat(arms.values())[column]
        for statistic, told in _answers(name, share(both.sum(), len(both)), held):
            parts = []
            for arm, group in arms.items():
                one = share(group[column].sum(), len(group))
                if "rates" in statistic:
                    one = ratio(pace(one), pace(held))
                elif "ratio" in statistic:
                    one = ratio(one, held)
                parts.append((arm.split()[0].lower(), one))
            each = ", ".join(f"{arm} {one.value:.3g}" for arm, one in parts)
            note = "" if "not written to" in statistic else f"{told.note}; {each}".removeprefix("; ")
            yield statistic, "Hillstrom", told._replace(note=note)


def messages(store: Store) -> Iterator[tuple[str, Told]]:
    """Yield the like in a world: customers with a click or an order within 14 days of a message, and of one held out.

    All weeks are pooled, since the chance of being held out is one; the noise is that of independent customers.
    """
    table = store.table("assignments")
    table = table.filter(table.experiment_id.startswith("message-week-"))
    due = store.run(table.select("unit_id", "arm", "assigned_at")).to_pandas()
    due["at"] = pd.to_datetime(due["assigned_at"], utc=True)
    events = store.table("events")
    lines = store.table("order_lines")
    last = pd.to_datetime(store.run(lines.aggregate(at=lines.ordered_at.max())).to_pandas()["at"], utc=True)[0]
    due = due[due["at"] + pd.Timedelta(days=WITHIN) <= last].reset_index(drop=True)
    due["arm"] = due["arm"].astype(str)
    for name, rows in (
        ("visits", events.filter(events.kind == "click").select("customer_id", "at")),
        ("orders", lines.select("customer_id", at=lines.ordered_at)),
    ):
        did = store.run(rows.semi_join(table, rows.customer_id == table.unit_id)).to_pandas()
        did["at"] = pd.to_datetime(did["at"], utc=True)
        after = pd.merge_asof(
            due.sort_values("at"), did.rename(columns={"at": "did"}).sort_values("did"), left_on="at", right_on="did",
            left_by="unit_id", right_by="customer_id", direction="forward", tolerance=pd.Timedelta(days=WITHIN),
        )  # fmt: skip
        hits = after["did"].notna()
        sent, held = ((share(hits[after["arm"] == arm].sum(), (after["arm"] == arm).sum())) for arm in ("1", "0"))
        yield from _answers(name, sent, held)


# Live viewers

NOISE = "viewers from one minute to the next, log deviation beyond counting"
DRIFT = "viewers over 15 minutes, median change in logs"
ROOMS_TOP, ROOMS_GINI = "viewers, share of the best tenth of rooms", "viewers, Gini of rooms"
SIZE = "viewers of a room at a time, median"


def robustspot(data: Path) -> Iterator[tuple[str, str, Told]]:
    """Yield how the viewers of real rooms move within the twenty minutes around an incident.

    A case is one room. Its first and last minutes are cut short in the files and left out; so are cases of less than
    twelve minutes. Leaves are a room's viewers by network, bit rate and device: slices, not rooms.
    """
    steps, drifts, sizes, tops, ginis = [], [], [], [], []
    for path in sorted((data / "robustspot" / "cases").glob("*.csv")):
        case = pd.read_csv(path)
        total = case.groupby("min")["cnt"].sum().sort_index().to_numpy(float)[1:-1]
        if len(total) < 10:
            continue
        log = np.log(total)
        steps.append(math.sqrt(max(np.diff(log).var(ddof=1) - 2 / total.mean(), 0.0)))
        drifts += [
            abs(log[n + APART : n + APART + 5].mean() - log[n : n + 5].mean()) for n in range(len(log) - APART - 4)
        ]
        sizes.append(total.mean())
        leaves = case.drop(columns=["min", "value", "cnt"])
        each = case["cnt"].groupby([leaves[name] for name in leaves]).sum().to_numpy(float)
        tops.append(top_tenth(each[each > 0]))
        ginis.append(gini(each[each > 0]))
    name = "RobustSpot"
    low, high = np.quantile(steps, (0.1, 0.9))
    yield NOISE, name, Told(float(np.median(steps)), _of_median(steps), f"cases: {low:.2g} to {high:.2g}")
    yield DRIFT, name, Told(float(np.median(drifts)), _of_median(drifts), "incidents among them")
    yield SIZE, name, Told(float(np.median(sizes)), _of_median(sizes), "rooms chosen for their incidents")
    yield ROOMS_TOP, name, Told(float(np.median(tops)), _of_median(tops), "of a room's leaves, not alike")
    yield ROOMS_GINI, name, Told(float(np.median(ginis)), _of_median(ginis), "of a room's leaves, not alike")


def _of_median(values: list[float]) -> float:
    """The standard error of a median, by the middle half of the values."""
    return 1.25 * float(np.subtract(*np.quantile(values, (0.75, 0.25)))) / 1.349 / math.sqrt(len(values))


def rooms(store: Store) -> Iterator[tuple[str, Told]]:
    """Yield the like in a world's live rooms.

    A room has so few viewers that counting is most of what moves it. So what is beyond counting is taken over all rooms
    together: squared changes less those who came and went, over squared viewers, in the minutes when a room has
    settled.
    """
    table = store.table("live_minutes")
    columns = ["live_id", "minute", "viewers", "joins_organic", "joins_paid", "leaves"]
    minutes = store.run(table.select(*columns)).to_pandas().sort_values(["live_id", "minute"])
    room = minutes.groupby("live_id")
    mean = room["viewers"].mean()
    length = room["minute"].transform("max")
    change, before = room["viewers"].diff(), room["viewers"].shift()
    moved = minutes["joins_organic"] + minutes["joins_paid"] + minutes["leaves"]
    kept = (minutes["minute"] >= SETTLED) & (minutes["minute"] < length - SETTLED) & (before > 0)
    parts = pd.DataFrame({
        "room": minutes["live_id"][kept], "over": (change**2 - moved)[kept].astype(float),
        "raw": (change**2)[kept].astype(float), "under": (before**2)[kept].astype(float),
    })  # fmt: skip
    sums = parts.groupby("room")[["over", "raw", "under"]].sum()
    square = sums["over"].sum() / sums["under"].sum()
    error = float(np.sqrt(((sums["over"] - square * sums["under"]) ** 2).sum()) / sums["under"].sum())
    all_of_it = math.sqrt(sums["raw"].sum() / sums["under"].sum())
    beyond = math.sqrt(max(square, 0.0))
    highest = math.sqrt(max(square + 1.96 * error, 0.0))
    yield NOISE, Told(beyond, highest - beyond if highest > beyond else 0.0, f"{all_of_it:.2g} with counting")
    wide = minutes[kept & minutes["live_id"].isin(mean[mean >= 20].index)]
    log = np.log(wide.groupby("live_id")["viewers"].rolling(5).mean())
    drift = (log - log.groupby(level=0).shift(APART)).abs().dropna()
    yield DRIFT, Told(float(drift.median()), 0.0, "rooms of 20 viewers or more, counting included")
    yield SIZE, Told(float(mean.median()), _of_median(mean.tolist()))
    weight = room["viewers"].sum().to_numpy(float)
    weight = weight[weight > 0]
    yield ROOMS_TOP, Told(top_tenth(weight))
    yield ROOMS_GINI, Told(gini(weight))
