"""Beside: a shop beside others like it, as much as one shop may learn of others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tradewind.decisions.profiles.page import Page
from tradewind.errors import NotFoundError
from tradewind.measures.assume import Assumptions
from tradewind.measures.metric import Metric
from tradewind.measures.metrics import within_a_shop
from tradewind.measures.query import lights_up
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid


def beside_peers(page: Page, shop: str, metrics: Sequence[Metric]) -> Finding | None:
    """Set a shop beside the quartiles of its peers in the last whole calendar month.

    Returns:
        The finding; None where the data hold no such month, or nothing may be told of the peers.
    """
    month, known = _last_month(page), page.store.assuming(Assumptions())
    inside = [metric for metric in metrics if within_a_shop(metric) and lights_up(metric, page.store)]
    asked = tuple(metric for metric in inside if lights_up(metric, known, ("shop_id",)))
    if month is None or not asked:
        return None
    if supposed := [metric.title for metric in inside if metric not in asked]:
        page.caveats.append(f"Not compared with peers, as it is supposed and not known: {', '.join(supposed)}.")
    try:
        found = page.store.peers(asked, month, shop)
    except NotFoundError:
        return None  # the shop sold nothing in that month, so that it has no peers in it
    names = {metric.name: metric for metric in asked}
    rows, said, hidden = [], [], []
    for one in found.metrics:
        metric = names[one.metric]
        if one.middle is None or one.low is None or one.high is None:
            hidden.append(f"{metric.title}: {one.reason}")
            continue
        rows.append({
            "metric": metric.title, "own": one.own, "low": one.low, "middle": one.middle, "high": one.high,
            "shops": f"{one.shops} or more", "unit": metric.unit,
        })  # fmt: skip
        if one.own is not None and metric.better and not one.low <= float(one.own) <= one.high:
            good = (float(one.own) > one.high) == (metric.better > 0)
            said.append((good, f"{metric.title} {human(one.own, metric.unit, page.currency)}"))
    page.caveats += [f"Not comparable in {month.title}. {why}." for why in hidden]
    if not rows:
        return None
    parts = []
    for good, words in ((True, "better than three in four"), (False, "worse than three in four")):
        if some := [name for which, name in said if which is good]:
            parts.append(f"{words} by {', '.join(some)}")
    sentence = f"In {month.title}, beside {found.who}: " + ("; ".join(parts) or "about as most of them") + "."
    columns = (
        Column("metric", "Metric"), Column("own", "This shop", "of the row"),
        Column("low", "A quarter have less than about", "of the row"), Column("middle", "Half", "of the row"),
        Column("high", "Three quarters", "of the row"), Column("shops", "Shops"),
    )  # fmt: skip
    note = (
        "Quartiles of shops, rounded to two digits and blunted so that none tells of one shop; only whole calendar "
        "months of ten shops or more are compared."
    )
    return Finding("peers", sentence, Evidence.BENCHMARK, {}, Grid(columns, tuple(rows)), None, note, 85.0)


def _last_month(page: Page) -> Period | None:
    """Return the last whole calendar month that the data hold by the end of the period."""
    after = page.seen.last + timedelta(days=1)
    last = after.replace(day=1) - timedelta(days=1)
    month = Period(last.replace(day=1), last)
    return month if month.clipped(page.store.span) == month else None
