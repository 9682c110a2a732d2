"""Policies: ways to choose actions under budgets, from doing nothing to knowing the truth."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import ibis
import numpy as np
from numpy.typing import NDArray

from tradewind.arena.history import RECENT
from tradewind.arena.offer import DAYS, LEVERS, Offer
from tradewind.arena.purse import pick
from tradewind.decisions.plan import Planner
from tradewind.engines.store import Store
from tradewind.ledger import shrunk
from tradewind.methods.calibration import Calibrated
from tradewind.period import Period
from tradewind.study import Action, Choice, Estimate, Evidence, Lever, Party, Plan

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Wishes = Sequence[tuple[int, int]]
"""Settings in the order in which they are wanted: number of the action, place in its menu."""

ACTING = {Lever.PRICE: "prices", Lever.COMMISSION: "commissions", Lever.COUPON: "coupons"}
"""The wing that appraises each lever."""
MARGIN = 0.3  # share of GMV that rules of thumb take for profit


def none(offer: Offer, seed: int) -> list[Choice]:
    """Do nothing: what everything is measured against."""
    del offer, seed
    return []


def uniform(offer: Offer, seed: int) -> list[Choice]:
    """Spread each budget evenly over the levers, and within a lever over subjects drawn by lot, at a middle setting."""
    draw = np.random.default_rng(seed)
    chosen: list[tuple[int, int]] = []
    for payer, levers in _payers(offer).items():
        for lever in levers:
            numbers = draw.permutation(_of(offer, lever))
            wishes = [(int(n), (len(offer.actions[n].menu) - 1) // 2) for n in numbers]
            chosen += _afford(offer, wishes, {payer: offer.budgets[payer] / len(levers)})
    return [Choice(offer.actions[n], place) for n, place in chosen]


def rule(offer: Offer, seed: int) -> list[Choice]:
    """Do what seller centres advise.

    Discount slow movers, boost best sellers, pay more where creators sell most, and bring lapsed buyers back with a
    coupon and a message.
    """
    del seed
    goods, purse = offer.products, offer.budgets[Party.MERCHANT]
    units, gross, through = goods["units"], goods["gross"], goods["creator_gross"]
    old = goods["age"] >= RECENT
    slow = old & (units <= np.quantile(units[old], 0.3))
    lapsed = np.array([
        float(np.median(offer.customers["away"][offer.segment == n])) if (offer.segment == n).any() else 999.0
        for n in range(int(offer.segment.max()) + 1)
    ])  # fmt: skip
    gone = np.where((lapsed > RECENT) & (lapsed < 999), lapsed, -1.0)
    plan: tuple[tuple[Lever, Array, int, float, Party], ...] = (
        (Lever.PRICE, np.where(slow, goods["list_price"], -1.0), 1, 0.35 * purse, Party.MERCHANT),
        (Lever.TRAFFIC, gross, 1, 0.35 * purse, Party.MERCHANT),
        (Lever.COMMISSION, np.where(through >= np.quantile(through, 0.7), through, -1.0), 0, 0.3 * purse,
         Party.MERCHANT),
        (Lever.OUTREACH, gone, 0, 0.2 * offer.budgets[Party.PLATFORM], Party.PLATFORM),
        (Lever.COUPON, gone, 0, 0.8 * offer.budgets[Party.PLATFORM], Party.PLATFORM),
    )  # fmt: skip
    chosen: list[tuple[int, int]] = []
    for lever, score, place, purse, payer in plan:
        mine = _of(offer, lever)
        scores = score[np.array([offer.unit[n] for n in mine], np.int64)]
        wanted = mine[np.argsort(-scores, kind="stable")][: int((scores > 0).sum())]
        chosen += _afford(offer, [(int(n), min(place, len(offer.actions[n].menu) - 1)) for n in wanted], {payer: purse})
    return [Choice(offer.actions[n], place) for n, place in chosen]


def attributed(offer: Offer, seed: int) -> list[Choice]:
    """Spend where attributed return on spend is highest, as advertising platforms do: credit is taken for cause.

    Its prediction is the GMV that would be credited, times a usual margin, less what is spent; it has no interval to
    speak of, so it says the point.
    """
    del seed
    worth = {key: gmv for key, gmv in credited(offer).items() if gmv > 0}

    def spent(key: tuple[int, int]) -> float:
        return max(sum(offer.actions[key[0]].menu[key[1]].cost.values()), 0.01)

    ranked = sorted(worth, key=lambda key: (-worth[key] / spent(key), key))
    chosen = _afford(offer, ranked, offer.budgets)
    found = []
    for n, place in chosen:
        action, gmv = offer.actions[n], worth[n, place]
        gain = MARGIN * gmv - sum(action.menu[place].cost.values())
        told = replace(action.menu[place], joint=Estimate(gain, gain, gain), attributed=gmv)
        menu = (*action.menu[:place], told, *action.menu[place + 1 :])
        found.append(Choice(replace(action, menu=menu, evidence=Evidence.ASSUMED), place))
    return found


def credited(offer: Offer) -> dict[tuple[int, int], float]:
    """Return the GMV that last-touch attribution would credit to each setting, from what it credited lately.

    Advertising: attributed GMV for each unit spent, of the product, drawn towards all products'. Coupons: GMV of orders
    that used one, for each coupon given in the segment. Messages: GMV of orders within a week of one. Prices: all GMV
    of a product while it is on promotion. Commissions: all GMV through creators. Listings are credited with nothing.
    """
    goods = offer.products
    pooled = goods["credited"].sum() / max(goods["spend"].sum(), 0.01)
    returns = (goods["credited"] + 2.0 * pooled) / (goods["spend"] + 2.0)
    by_coupon, by_message = _by_segment(offer)
    found: dict[tuple[int, int], float] = {}
    for n, place, setting in offer.settings():
        action, unit = offer.actions[n], offer.unit[n]
        size = len(action.assignment.units) if action.assignment else 0
        if action.lever == Lever.TRAFFIC:
            found[n, place] = float(returns[unit]) * setting.dose["budget"] * DAYS
        elif action.lever == Lever.PRICE:
            found[n, place] = float(goods["gross"][unit]) * (1 - setting.dose["off"]) * DAYS / RECENT
        elif action.lever == Lever.COMMISSION:
            found[n, place] = float(goods["creator_gross"][unit])
        elif action.lever in (Lever.COUPON, Lever.OUTREACH):
            found[n, place] = size * (by_coupon if action.lever == Lever.COUPON else by_message).get(unit, 0.0)
    return found


def _by_segment(offer: Offer) -> tuple[dict[int, float], dict[int, float]]:
    """GMV credited to each coupon given and each message sent, by segment."""
    store: Store = offer.store
    lines, grants, contacts = store.table("order_lines"), store.table("coupon_grants"), store.table("contacts")
    since = store.span.last - timedelta(days=2 * RECENT)
    value = (lines.unit_price.cast("float64") * lines.quantity).sum()
    orders = lines.group_by("order_id").aggregate(
        value=value, at=lines.ordered_at.min(), customer=lines.customer_id.max()
    )
    given = grants.filter(grants.granted_at.date() >= since)
    used = store.run(
        given.left_join(orders, given.redeemed_order_id == orders.order_id)
        .select("customer_id", value=lambda t: t.value.fill_null(0.0))
    )  # fmt: skip
    sent = contacts.filter(contacts.day >= since).select("customer_id", "sent_at", "contact_id")
    week = sent.sent_at + ibis.interval(days=7)
    of = orders.rename(order="order_id")
    after = sent.left_join(of, [sent.customer_id == of.customer, of.at >= sent.sent_at, of.at <= week])
    messaged = store.run(after.select("customer_id", value=lambda t: t.value.fill_null(0.0)))
    segment = dict(zip(offer.customers.ids, offer.segment.tolist(), strict=True))
    count = int(offer.segment.max()) + 1

    def mean(customers: list[str], values: list[float]) -> dict[int, float]:
        which = np.array([segment.get(name, count) for name in customers], np.int64)
        sums, sizes = np.bincount(which, values, count + 1), np.bincount(which, minlength=count + 1)
        pooled = sums.sum() / max(sizes.sum(), 1)
        return {n: float((sums[n] + 20 * pooled) / (sizes[n] + 20)) for n in range(count)}

    return (
        mean(used["customer_id"].to_pylist(), used["value"].to_pylist()),
        mean(messaged["customer_id"].to_pylist(), messaged["value"].to_pylist()),
    )


def tradewind(offer: Offer, seed: int) -> list[Choice]:
    """Let the wings appraise what is on offer, and the plan pick; levers that no wing knows are left alone."""
    return list(planned(offer, seed).choices)


def planned(offer: Offer, seed: int, calibrated: Calibrated | None = None) -> Plan:
    """Return the plan of what is on offer, with every gain as the wings tell it or as a ledger's record lets expect.

    Args:
        offer: What can be done.
        seed: Seed of the wings and of the allocation.
        calibrated: What predictions were worth.
    """
    told = appraised(offer, seed)
    raw = {action.key: action for action in told} if calibrated else {}
    actions = shrunk(told, calibrated) if calibrated else told
    products = offer.products
    sales: dict[str | None, float] = {None: float(products["gross"].sum())}
    for shop, gross in zip(products.shops, products["gross"].tolist(), strict=True):
        sales[shop] = sales.get(shop, 0.0) + gross
    return Planner(seed=seed)("arena", actions, offer.budgets, (), sales, raw)


def appraised(offer: Offer, seed: int) -> list[Action]:
    """Return what the wings tell of what is on offer; levers that no wing knows are left out."""
    store = offer.store
    recent = Period(store.span.last - timedelta(days=RECENT - 1), store.span.last)
    told: list[Action] = []
    for lever, name in ACTING.items():
        if mine := [action for action in offer.actions if action.lever == lever]:
            wing = importlib.import_module(f"tradewind.decisions.{name}")  # late: what it computes with loads slowly
            settings = getattr(wing, f"{name.capitalize()}Settings")(seed=seed)
            told += wing.learn(store, recent, settings).appraise(mine)
    return told


def best(offer: Offer, value: Mapping[tuple[int, int], Estimate]) -> list[Choice]:
    """Choose the most valuable settings that budgets allow, by what each is believed to be worth."""
    keys = list(value)
    payers = sorted(offer.budgets)
    cost = {
        payer: np.array([offer.actions[n].menu[place].cost.get(payer, 0.0) for n, place in keys]) for payer in payers
    }
    menu = np.array([n for n, _ in keys], np.int64)
    taken = pick(menu, np.array([value[key].mid for key in keys]), cost, offer.budgets)
    found = []
    for number in taken.tolist():
        n, place = keys[number]
        action = offer.actions[n]
        told = replace(action.menu[place], joint=value[n, place])
        found.append(Choice(replace(action, menu=(*action.menu[:place], told, *action.menu[place + 1 :])), place))
    return found


def _payers(offer: Offer) -> dict[Party, list[Lever]]:
    """Which levers draw on whose budget."""
    found: dict[Party, list[Lever]] = {}
    for lever in LEVERS:
        mine = _of(offer, lever)
        if len(mine):
            payer = next(iter(offer.actions[mine[0]].menu[0].cost))
            found.setdefault(payer, []).append(lever)
    return found


def _of(offer: Offer, lever: Lever) -> Ints:
    return np.array([n for n, action in enumerate(offer.actions) if action.lever == lever], np.int64)


def _afford(offer: Offer, wishes: Wishes, budgets: Mapping[Party, float]) -> list[tuple[int, int]]:
    """Take settings in the order in which they are wanted, as far as the money reaches; at most one of each action."""
    left, used, taken = dict(budgets), set(), []
    for n, place in wishes:
        cost = offer.actions[n].menu[place].cost
        if n not in used and all(left.get(payer, 0.0) >= amount for payer, amount in cost.items()):
            used.add(n)
            taken.append((n, place))
            for payer, amount in cost.items():
                left[payer] -= amount
    return taken


POLICIES: dict[str, Callable[[Offer, int], list[Choice]]] = {
    "none": none, "uniform": uniform, "rule": rule, "attributed": attributed, "tradewind": tradewind,
}  # fmt: skip
"""Policies that see the history only; `learnable` and `oracle` see the truth and stand in `oracle`."""
