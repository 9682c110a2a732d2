"""A generated grocery category with known elasticities and endogenous prices (numpy only).

Demand (product j, store s, week t; all in natural logs)
    sold = level_js + week_t + (own_j + tilt_s) * price_jst + cross_true_j * cross_jst
           + local_st + taste_jst + noise_jst
Price, set by the retailer, who sees local_st and taste_jst (the analyst does not)
    price = shelf_js - 0.1 week_t + g_jst + 0.15 * (mean of the rivals' g) - promotion_jst
    g_jst = pass_j * (list cost + unrecorded allowance)_jzt + eager_j * (local + taste)_jst + error_jst
Instruments (columns of 'instruments', all of independent draws from local, taste and noise)
    0  log list cost of the product at the store's distribution centre (zone) that week
    1  planned discount (log points, 0 = none) of the product in the store's banner that week
    2  mean log price of the product in four comparison stores of the same zone and banner that are NOT
       in the panel (so that no demeaning of the panel makes the column contain the row's own price)
The rivals' instruments are the means of these columns over the other products of the store and week,
just as 'cross' is of 'price'; the analyst can compute them, so they are not repeated.
"""

import numpy as np

# size: (products, stores, weeks, zones, banners); panels are balanced, rows sorted by product, store, week
SHAPES = {
    800: (5, 4, 40, 2, 2),  # a small shop's data: each store alone in its zone and banner
    8_000: (10, 16, 50, 4, 2),  # a regional chain, one year
    800_000: (40, 200, 100, 10, 5),  # a national chain, two years
}

N_REF = 4  # comparison stores per zone and banner: few, so their own shocks make the mean noisy
# --- demand
OWN_CATEGORY = (
    -2.4,
    0.35,
)  # category's mean own elasticity: meta-analyses of brand level give about -2.6, scanner panels -2
OWN_SPREAD = 0.5  # sd between the products of a category (Hitsch et al. find wide spread within categories)
OWN_RANGE = (-4.2, -1.1)  # no Giffen-like or absurdly elastic product
DIVERT_CATEGORY = (0.28, 0.45)  # category's mean share of lost own sales that goes to rivals when they stay put
DIVERT_SPREAD = 0.09  # sd of that share between products; cross elasticities mostly 0.4 to 1.5, category about -1.5
TILT = 0.15  # sd between stores of the own elasticity (shoppers' incomes); centred, so own_j is the mean over rows
LEVEL = (3.6, 0.7, 0.4)  # log units a week: mean, sd between products, sd between product-stores (about 37 units)
SEASON = (0.12, 0.06)  # yearly wave and week-to-week sd of the week effects, common to the category
HOLIDAY = 0.35  # jump of demand in about one week of twelve (holidays)
LOCAL = (0.09, 0.5)  # sd and weekly AR(1) of the shock shared by a store's products (events, weather, rival's shop)
TASTE = (0.15, 0.6)  # sd and AR(1) of the product-store shock (unrecorded display, local fashion, rival out of stock)
NOISE_FLOOR = 0.10  # sd of unpriced noise even for big sellers; to its square comes 1/units (counting noise)
NOISE_DF = 7  # Student tails: scanner sales have outliers
# --- price
SHELF = (1.1, 0.35, 0.05)  # log price: mean (about 3 money units), sd between products, sd between product-stores
PASS = (0.5, 0.9)  # pass-through of cost: retail studies find 0.6 or so
EAGER_CATEGORY = (0.15, 0.28)  # category's mean response of log price to the demand shock: bias of OLS about a quarter
EAGER_SPREAD = 0.05  # sd between products of this response
REACT = 0.15  # response to rivals' regular prices: makes rivals' prices endogenous to the product's shock too
ERROR = 0.025  # sd of pricing with no cause (rounding, late labels, clearing of stock)
COUNTER = -0.10  # prices are lower in peak weeks (Chevalier, Kashyap, Rossi): week effects must be handled
# --- costs, log points
COMMODITY = 0.012  # weekly step of the random walk common to the category (mostly absorbed by week effects)
COST_PRODUCT = (0.05, 0.92)  # sd, AR(1): product's own input costs
COST_PZONE = (0.035, 0.85)  # sd, AR(1): product at a distribution centre
COST_ZONE = (0.025, 0.85)  # sd, AR(1): freight to a zone, all products alike: moves 'cross' between stores of one week
ALLOWANCE = (0.025, 0.7)  # sd, AR(1): off-invoice allowances by product and zone, not in the analyst's cost file
RENEW = 0.3  # chance that a list cost is revised in a week: costs are sticky and move in steps
# --- promotions
CYCLE = (5, 11)  # weeks from one deal to the next, by product and banner: 5 to 10
DEPTHS = np.array([0.10, 0.15, 0.20, 0.25, 0.30])
DEPTH_ODDS = np.array([0.15, 0.25, 0.30, 0.20, 0.10])
SKIP = 0.08  # share of store-weeks in which a planned deal is not executed
EXECUTE = (0.7, 1.0)  # else this part of the planned discount reaches the shelf


def _ar1(rng, shape, sd, rho):
    """Stationary AR(1) along the last axis."""
    x = rng.standard_normal(shape)
    x[..., 0] *= sd
    step = sd * np.sqrt(1.0 - rho * rho)
    for t in range(1, shape[-1]):
        x[..., t] = rho * x[..., t - 1] + step * x[..., t]
    return x


def _sticky(rng, x):
    """Hold the last revised value along the last axis."""
    fresh = rng.random(x.shape) < RENEW
    fresh[..., 0] = True
    last = np.maximum.accumulate(np.where(fresh, np.arange(x.shape[-1]), 0), axis=-1)
    return np.take_along_axis(x, last, axis=-1)


def _calendar(rng, products, banners, weeks):
    """Planned log discounts (product, banner, week), fixed before the weeks begin."""
    plan = np.zeros((products, banners, weeks))
    for j in range(products):
        for b in range(banners):
            cycle = int(rng.integers(*CYCLE))
            t = int(rng.integers(0, cycle))
            while t < weeks:
                lasts = int(rng.integers(1, 3))
                plan[j, b, t : t + lasts] = -np.log1p(-rng.choice(DEPTHS, p=DEPTH_ODDS))
                t += max(lasts + 1, cycle + int(rng.integers(-1, 2)))
    return plan


def _others(x):
    """Mean over the other products (axis 0)."""
    return (x.sum(axis=0, keepdims=True) - x) / (x.shape[0] - 1)


def _build(size, seed):
    """The market as (product, store, week) arrays, with what the analyst does not see."""
    J, S, T, Z, B = SHAPES[size]
    rng = np.random.default_rng([int(seed), int(size), 20240])

    # parameters of the category and its products
    own = np.clip(rng.normal(rng.normal(*OWN_CATEGORY), OWN_SPREAD, J), *OWN_RANGE)
    divert = np.clip(rng.normal(rng.uniform(*DIVERT_CATEGORY), DIVERT_SPREAD, J), 0.10, 0.65)
    cross_true = divert * -own
    passed = rng.uniform(*PASS, J)[:, None, None]
    eager = np.clip(rng.normal(rng.uniform(*EAGER_CATEGORY), EAGER_SPREAD, J), 0.05, None)[:, None, None]

    # week effects
    t = np.arange(T)
    week = (
        SEASON[0] * np.sqrt(2.0) * np.sin(2 * np.pi * (t / 52.0 + rng.random()))
        + rng.normal(0.0, SEASON[1], T)
        + HOLIDAY * (rng.random(T) < 1 / 12)
    )

    # stores: the panel's first, then the comparison stores, N_REF to each zone and banner
    zone = np.concatenate([np.arange(S) % Z, np.repeat(np.arange(Z * B) % Z, N_REF)])
    banner = np.concatenate([np.arange(S) // Z % B, np.repeat(np.arange(Z * B) // Z, N_REF)])
    A = len(zone)

    # costs and the promotion calendar: no draw in common with demand
    commodity = np.cumsum(rng.normal(0.0, COMMODITY, T))
    base_cost = rng.normal(0.7, 0.35, J)[:, None, None]
    lists = (
        base_cost
        + commodity
        + _sticky(rng, _ar1(rng, (J, 1, T), *COST_PRODUCT) + _ar1(rng, (J, Z, T), *COST_PZONE))
        + _ar1(rng, (1, Z, T), *COST_ZONE)
    )
    allowance = _ar1(rng, (J, Z, T), *ALLOWANCE)
    plan = _calendar(rng, J, B, T)

    # demand shocks: independent between stores
    local = _ar1(rng, (1, A, T), *LOCAL)
    taste = _ar1(rng, (J, A, T), *TASTE)
    shock = local + taste

    # prices
    done = np.where(rng.random((J, A, T)) < SKIP, 0.0, rng.uniform(*EXECUTE, (J, A, T)))
    regular = passed * (lists - base_cost + allowance)[:, zone] + eager * shock + rng.normal(0.0, ERROR, (J, A, T))
    shelf = rng.normal(SHELF[0], SHELF[1], J)[:, None, None] + rng.normal(0.0, SHELF[2], (J, A))[:, :, None]
    price = shelf + COUNTER * week + regular + REACT * _others(regular) - done * plan[:, banner]

    # comparison stores' mean price, per zone and banner (banner-major, as laid out above)
    ref = price[:, S:].reshape(J, B, Z, N_REF, T).mean(axis=3)
    inst = np.stack([lists[:, zone[:S]], plan[:, banner[:S]], ref[:, banner[:S], zone[:S]]], axis=-1)

    # demand in the panel's stores
    price, shock = price[:, :S], shock[:, :S]
    cross = _others(price)
    tilt = rng.normal(0.0, TILT, S)
    tilt = (tilt - tilt.mean())[None, :, None]
    level = (rng.normal(LEVEL[0], LEVEL[1], J)[:, None] + rng.normal(0.0, LEVEL[2], (J, S)))[:, :, None]
    sd = np.sqrt(NOISE_FLOOR**2 + np.exp(-np.maximum(level, 1.5)))
    noise = sd * rng.standard_t(NOISE_DF, (J, S, T)) * np.sqrt((NOISE_DF - 2) / NOISE_DF)
    slope = own[:, None, None] + tilt
    # levels are typical units at the product's typical price, so prices enter around it
    at = shelf[:, :S]
    sold = level + week + slope * (price - at) + cross_true[:, None, None] * (cross - _others(at)) + shock + noise
    return dict(
        sold=sold,
        price=price,
        cross=cross,
        inst=inst,
        own=own,
        cross_true=cross_true,
        shock=shock,
        noise=noise,
        tilt=tilt,
        week=week,
    )


def market(size: int, seed: int) -> dict:
    """A full panel of `size` rows (800, 8_000 or 800_000), the same for the same (size, seed)."""
    J, S, T, _, _ = SHAPES[size]
    m = _build(size, seed)
    product, store, week = (c.ravel().astype(np.int64) for c in np.indices((J, S, T)))
    return {
        "sold": m["sold"].ravel(),
        "price": m["price"].ravel(),
        "cross": m["cross"].ravel(),
        "product": product,
        "store": store,
        "week": week,
        "instruments": m["inst"].reshape(size, -1),
        "own": m["own"],
        "cross_true": m["cross_true"],
    }
