"""Generated retail markets with known own- and cross-price elasticities and endogenous prices.

Demand (exact, constant elasticity; i = product, s = store, t = week):

    sold = level[i,s] + week[t] + (own[i] + tilt[s]) * price + cross_true[i] * cross
           + local[i,s,t] + traffic[s,t] + noise[i,s,t]

The retailer sees local and half of traffic and prices on them (endogeneity); the analyst sees neither.
All the shocks are independent between stores once weeks are taken out, and independent of every
instrument at all leads and lags.  tilt sums to zero over stores, so own[i] is the mean over rows.

instruments, columns (see INSTRUMENTS): invoice cost; price of the product in stores OUTSIDE this panel;
planned promotion of the item (0/1); planned category-wide event (0/1); mean over rivals of the same
store and week of the invoice cost and of the planned item promotion: the last two
can be made from the others, and an analyst who makes them again gets exactly collinear columns.
"""

import numpy as np

INSTRUMENTS = (
    "invoice cost",
    "outside stores' price",
    "item promotion planned",
    "category event planned",
    "rivals' invoice cost",
    "rivals' item promotion planned",
)

# products, stores, weeks, price zones: a small shop chain of under a year; a regional one; a large one of two years
SHAPES = {800: (5, 4, 40, 2), 8_000: (10, 10, 80, 4), 800_000: (40, 200, 100, 12)}


def _ar(shape, rho, draw):
    """Stationary AR(1) along the last axis, unit variance, innovations (mean 0, variance 1) by draw(shape)."""
    e = draw(shape)
    out = np.empty(shape)
    # thirty weeks beforehand, so that the law is stationary although the innovations are not normal
    x = np.zeros(shape[:-1])
    warm = draw((*shape[:-1], 30))
    scale = np.sqrt(1 - rho * rho)
    for t in range(30):
        x = rho * x + scale * warm[..., t]
    for t in range(shape[-1]):
        x = rho * x + scale * e[..., t]
        out[..., t] = x
    return out


def _slots(rng, weeks, low, high, long):
    """A calendar: 1 in the weeks of an event; events start `low`..`high` weeks apart and last 1..long weeks.
    Also gives the number of the event in each week (for what is fixed for a whole event)."""
    on, number = np.zeros(weeks, bool), np.zeros(weeks, int)
    t, n = int(rng.integers(0, high)), 0
    while t < weeks:
        last = t + int(rng.integers(1, long + 1))
        on[t:last], number[t:last] = True, n
        t += int(rng.integers(low, high + 1))
        n += 1
    return on, number


def _promotions(rng, weeks, low, high, long, depth):
    """Calendar (bool) and log price cut per week of one plan; each event has its own depth."""
    on, number = _slots(rng, weeks, low, high, long)
    # the offer of an event: 60% to 140% of the product's usual depth (beta, not normal)
    deep = depth * (0.6 + 0.8 * rng.beta(2, 2, size=weeks + 1))
    return on, np.where(on, deep[number], 0.0)


def market(size: int, seed: int) -> dict:  # noqa: PLR0915  a law told from top to bottom
    """Return a panel ordered by product, store and week; the law is told at the head of the file."""
    rng = np.random.default_rng([size, seed])
    J, S, T, Z = SHAPES[size]
    normal = rng.standard_normal

    def skew(shape):  # gamma(2): demand spikes upwards (events, a rival out of stock) are larger than dips
        return (rng.gamma(2.0, 1.0, size=shape) - 2.0) / np.sqrt(2.0)

    def heavy(shape):  # Student t with 5 degrees of freedom, unit variance
        return rng.standard_t(5, size=shape) / np.sqrt(5 / 3)

    def laplace(shape):
        return rng.laplace(0, 1 / np.sqrt(2), size=shape)

    zone = rng.permutation(np.arange(S) % Z)  # zone of each store, as even as can be

    # ---- what is to be found --------------------------------------------------------------------------
    # category's typical own elasticity differs by market: median -2.5 (meta-analyses: about -2.6), mostly -1.9..-3.3
    typical = 2.5 * np.exp(0.17 * np.clip(normal(), -2, 2))
    # spread of products about it, in logs: 0.15 (alike) .. 0.35 (unlike); so that no one amount of shrinkage is right
    spread = rng.uniform(0.15, 0.35)
    own = -np.clip(typical * np.exp(spread * normal(J)), 1.0, 6.0)  # skewed, never inelastic in a promoted category
    # what goes to or comes from rivals: 35% of the own elasticity on average, 10..65%; thus cross is about 0.9,
    # goes together with own, and the category as a whole (own + cross) always slopes down
    cross_true = -own * (0.10 + 0.55 * rng.beta(2.5, 3.0, size=J))
    # stores differ in price sensitivity (income of the quarter): sd 0.15, the same for all products, sums to zero
    tilt = 0.15 * normal(S)
    tilt -= tilt.mean()

    # ---- levels and weeks -----------------------------------------------------------------------------
    # units a week in a store: median 40, products spread by e^0.8, stores e^0.4, range e^0.3
    usual = np.log(40.0) + 0.8 * normal(J)[:, None] + 0.4 * normal(S)[None, :] + 0.3 * normal((J, S))
    when = np.arange(T)
    holiday = np.zeros(T)
    holiday[_slots(rng, T, 10, 16, 1)[0]] = 1.0  # about four holidays a year
    # year's course 0.15, holidays +0.30, other weeks' ups and downs 0.08
    week = 0.15 * np.sin(2 * np.pi * (when / 52 + rng.uniform())) + 0.30 * holiday + 0.08 * normal(T)

    # ---- demand shocks --------------------------------------------------------------------------------
    # product-store-week shock that the store manager sees: sd 0.14..0.26 by product, autocorrelation 0.5, skewed
    wild = rng.uniform(0.14, 0.26, size=J)
    local = wild[:, None, None] * _ar((J, S, T), 0.5, skew)
    # the store's traffic (weather, road works, an event): shared by its products, not by stores: sd 0.08, autocorr. 0.3
    traffic = 0.08 * _ar((S, T), 0.3, heavy)
    # chance of the till, seen by nobody before pricing: larger where little is sold (over-dispersed count: 1.5/units),
    # but not dependent on the week's price, so that the elasticities stay exactly true; t-tailed; about 0.2
    rough = np.clip(np.sqrt(0.05**2 + 1.5 / np.exp(usual)), 0.06, 0.5)
    noise = rough[:, :, None] * heavy((J, S, T))

    # ---- costs ----------------------------------------------------------------------------------------
    # commodity: common to products, loading 0.5..1.5: mostly taken up by week effects, as in life
    cost = rng.uniform(0.5, 1.5, size=J)[:, None] * 0.06 * _ar((T,), 0.93, normal)[None, :]
    # list price of the supplier: constant, changed in 12% of weeks by a Laplace step; sd about 0.08 over years
    step, listed = 0.06 * laplace((J, T + 40)), np.zeros((J, T + 40))
    change = rng.uniform(size=(J, T + 40)) < 0.12
    for t in range(1, T + 40):
        listed[:, t] = np.where(change[:, t], 0.7 * listed[:, t - 1] + step[:, t], listed[:, t - 1])
    cost = cost + listed[:, 40:]
    cost = np.repeat(cost[:, None, :], S, axis=1)
    # freight: share 2..12% of cost by weight of product and distance of store, times fuel (sd 0.2)
    share = 0.02 + 0.10 * rng.beta(2, 2, size=J)[:, None] * rng.uniform(0.3, 1.0, size=S)[None, :]
    cost += share[:, :, None] * 0.2 * _ar((T,), 0.9, normal)[None, None, :]
    # the zone's wholesaler: surcharge or rebate on the whole category, sd 0.03; moves own and rivals' prices together
    cost += 0.03 * _ar((Z, T), 0.85, normal)[zone][None, :, :]
    # terms of delivery by product and store, sd 0.02
    cost += 0.02 * _ar((J, S, T), 0.8, normal)
    invoice = cost + 0.01 * normal((J, S, T))  # what the books hold: with errors of period and rounding, sd 1%

    # ---- promotions, planned quarters ahead with suppliers; price cuts only, no display (else not excluded) --------
    # usual cut: 10..30%, deeper for the more elastic products (retailers cut where it pays), in logs 0.11..0.36
    rank = own.argsort().argsort()[::-1] / (J - 1)  # 1 = most elastic
    depth = 0.11 + 0.25 * np.clip(0.4 * rank + 0.6 * rng.beta(1.5, 1.5, size=J), 0, 1)
    often = rng.integers(0, 6, size=J)  # products differ in how often, too
    national = np.zeros((J, T), bool)
    national_cut = np.zeros((J, T))
    planned = np.zeros((J, Z, T), bool)
    cut = np.zeros((J, Z, T))
    for j in range(J):
        # the supplier's national plan: every 14..26 weeks, 1-2 weeks; each zone's own: every 9..21 weeks
        national[j], national_cut[j] = _promotions(rng, T, 14, 21 + often[j], 2, depth[j])
        for z in range(Z):
            on, deep = _promotions(rng, T, 9, 16 + often[j], 2, depth[j])
            planned[j, z] = on | national[j]
            cut[j, z] = np.maximum(deep, national_cut[j])
    item = planned[:, zone, :]
    # 10% of stores miss a planned promotion, the others carry out 85..105% of it (by store, not by demand)
    done = (rng.uniform(size=(J, S, T)) < 0.9) * rng.uniform(0.85, 1.05, size=(J, S, T))
    cuts = cut[:, zone, :] * done
    # category-wide events of the zone ("10% off all coffee"): every 8..16 weeks, 1-2 weeks, log cut 0.05..0.12; in 95%
    event, event_cut = np.zeros((Z, T), bool), np.zeros((Z, T))
    for z in range(Z):
        event[z], event_cut[z] = _promotions(rng, T, 8, 16, 2, 0.085)
    cuts += (event_cut[zone] * (rng.uniform(size=(S, T)) < 0.95))[None, :, :]

    # ---- prices ---------------------------------------------------------------------------------------
    # pass-through of cost: 0.3 (brand with a fixed price) .. 1.1 (private label), with a lag: half of a change at once
    passed = rng.uniform(0.3, 1.1, size=J)[:, None, None]
    felt = np.empty_like(cost)
    felt[..., 0] = cost[..., 0]
    for t in range(1, T):
        felt[..., t] = 0.5 * felt[..., t - 1] + 0.5 * cost[..., t]
    # answer of price to the shock seen: 0.06..0.24 by product, quicker down (x1.3) than up (x0.7)
    seen = local + 0.5 * traffic[None, :, :]
    answer = rng.uniform(0.06, 0.24, size=J)[:, None, None] * np.where(seen < 0, 1.3, 0.7) * seen
    # clearance, not in the calendar: where the seen shock is in about its lowest tenth, 35% are cut by 8..20%
    # (a fixed limit, not a quantile of this sample: a store's price must not depend on another store's shocks)
    poor = seen < -1.15 * np.sqrt(wild[:, None, None] ** 2 + 0.04**2)
    clear = (poor & (rng.uniform(size=(J, S, T)) < 0.35)) * rng.uniform(0.08, 0.20, size=(J, S, T))
    base = np.log(np.clip(4.0 * np.exp(0.5 * normal(J)), 1.8, 15.0))[:, None]  # 1.80 .. 15.00, median 4
    tier = 0.04 * normal(S)[None, :]  # price tier of store
    shelf = (base + tier)[:, :, None] + passed * felt + answer - clear - cuts
    # general price level: 3% a year, 0.05 of the week's demand, holiday -1% (the week effects must take this out)
    shelf = shelf + (0.03 * when / 52 + 0.05 * week - 0.01 * holiday)
    shelf += 0.015 * _ar((J, S, T), 0.6, normal)  # local habits and slips, sd 1.5%, no cause in demand
    # price points: ...9 cents; demand acts on the price that is paid, so this harms no truth
    price = np.log(np.maximum(np.round(np.exp(shelf) * 10) / 10, 0.5) - 0.01)

    def others(x):
        return (x.sum(axis=0, keepdims=True) - x) / (J - 1)

    cross = others(price)
    # the same products in eight stores of another region, not in this panel: same suppliers' list prices and national
    # plan, other pass-through, own demand (independent); varies by product and week only (Hausman's instrument)
    outside = np.zeros((J, T))
    other_pass = np.clip(passed[:, 0, 0] + 0.15 * normal(J), 0.2, 1.2)
    outside += (
        other_pass[:, None] * cost.mean(axis=1) - 0.8 * national_cut
    )  # cost.mean: suppliers' costs, no demand in it
    outside += base + 0.03 * when / 52 + 0.02 * normal((J, T))

    # ---- sales ----------------------------------------------------------------------------------------
    shift = own[:, None, None] + tilt[None, :, None]
    typical_price = price.mean(axis=2, keepdims=True)
    # level such that usual units are sold at usual prices; constant over weeks: a product-store effect
    # (means of observed prices enter as a constant of the cell only; removed exactly by product-store effects)
    level = usual[:, :, None] - shift * typical_price - cross_true[:, None, None] * cross.mean(axis=2, keepdims=True)
    sold = level + week + shift * price + cross_true[:, None, None] * cross + local + traffic[None, :, :] + noise

    full = np.broadcast_to
    columns = [
        invoice,
        full(outside[:, None, :], (J, S, T)),
        item.astype(float),
        full(event[zone][None, :, :].astype(float), (J, S, T)),
    ]
    columns += [others(invoice), others(item.astype(float))]
    product, store, weeks = (
        full(np.arange(n).reshape([-1 if a == b else 1 for b in range(3)]), (J, S, T)) for a, n in enumerate((J, S, T))
    )

    def flat(x):
        return np.ascontiguousarray(x.reshape(-1), dtype=np.int64 if x.dtype.kind == "i" else float)

    return {
        "sold": flat(sold),
        "price": flat(price),
        "cross": flat(cross),
        "product": flat(product),
        "store": flat(store),
        "week": flat(weeks),
        "instruments": np.column_stack([flat(c) for c in columns]),
        "own": own,
        "cross_true": cross_true,
    }
