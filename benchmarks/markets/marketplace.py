"""Generated marketplace with known own- and cross-price elasticities and endogenous prices.

The law, for product i, store s (a live room or mall shop), week t, all in natural logs:

  sold  = level_is + season_t + own_i * price + cross_i * rivals + demand_ist + noise_ist
  price = base_is + plan_t + pass_i * cost_ist - depth * item_promo - depth * store_coupon
          + watch_i * demand_ist + whim_ist + match * rivals          (solved jointly in a store)
  rivals = mean log price of the other products in the same store and week ('cross')
  demand_ist = item_ist + traffic_st      unseen by the analyst, seen by the sellers: endogeneity

Costs, promotion rotas and coupons are drawn independently of demand and noise; demand and noise
are independent between stores. The other-store price is that of shops OUTSIDE the panel (a price
tracker follows three shops near each store): a leave-one-out mean of the panel's own prices would
be spoiled by week effects (less of the week's mean, the rivals' leave-one-out mean rebuilds 'cross').
"""

import numpy as np

SHAPE = {  # products, stores, weeks
    800: (5, 10, 16),  # one small category, a third of a year
    8_000: (10, 16, 50),  # about a year
    800_000: (40, 200, 100),  # about two years
}

# --- elasticities ---------------------------------------------------------------------------
OWN_MEDIAN = 2.2  # |own| of a typical category (store-level meta-analyses: about 2 to 2.6)
OWN_CATEGORY = 0.15  # log sd of that median between markets: no fixed prior mean is right
OWN_PRODUCT = 0.22  # log sd between products of a category: sd about 0.5 around 2.2
SHARE_MEAN = 0.35  # cross / |own|: share of the lost sales that goes to the rivals
SHARE_CATEGORY = 0.05  # sd of this share between markets
SHARE_PRODUCT = 0.10  # sd between products of a category (share kept in 0.05..0.75)

# --- demand ---------------------------------------------------------------------------------
LEVEL_PRODUCT = 0.8  # sd of product popularity
LEVEL_STORE = 0.6  # sd of store size
LEVEL_BOTH = 0.4  # sd of the match of product and store
LEVEL_MEAN = 5.0  # about 150 units a week in a typical product-store at the base price
ITEM_SD = 0.25  # demand shock of the product in the store (a video takes off), seen by seller
ITEM_AR = 0.5  # it lasts a few weeks
TRAFFIC_SD = 0.10  # demand shock of the whole store (host, feed traffic): makes cross endogenous
TRAFFIC_AR = 0.4
NOISE_SD = 0.20  # what neither seller nor analyst foresees (Student t, 6 d.f.: viral tails)
SEASON_SD = 0.15  # weekly market-wide demand, besides a yearly wave of 0.2 and campaigns
CAMPAIGN_LIFT = 0.4  # platform campaign week (6.18, 11.11, ...): traffic for everyone

# --- price ----------------------------------------------------------------------------------
BASE_SD = 0.35  # list price differences of product and store (absorbed by their effects)
PASS_MEAN = 0.7  # pass-through of cost, 0.5..0.9 by product
WHOLESALE_SD = 0.06  # cost of product and week, the same in all stores (AR 0.8)
LOCAL_SD = 0.06  # cost of product, store and week: batch, supplier (AR 0.6)
FREIGHT_SD = 0.05  # fulfilment cost of store and week: all products of the store (AR 0.8)
COST_ERROR = 0.08  # the analyst's cost index of wholesale + local carries this error
PROMO_RATE = 0.12  # share of item slots on the rota in plain weeks ...
PROMO_RATE_CAMPAIGN = 0.35  # ... and in campaign weeks, with a market-wide cut of 6 % as well
PROMO_DEPTH = (0.04, 0.18)  # range of the cut; the calendar shows only the slot, not the depth
PROMO_TAKEN = 0.85  # share of slots that the seller takes up (by chance, not by demand)
COUPON_RATE = 0.12  # share of store-weeks with a store-wide coupon (planned, staggered)
COUPON_DEPTH = (0.04, 0.14)
WATCH = 0.12  # price answer to the demand shock, times 0.5..1.5 by product
WHIM_SD = 0.06  # price moves for no reason that anybody records
MATCH = 0.20  # answer to the rivals' mean price in the same store and week
SHOPS = 3  # outside shops whose prices are tracked for each store; same law of price,
# same wholesale cost and campaigns, own demand, freight, promotions


def _ar(rng, shape, rho, sd, df=None):
    """Stationary AR(1) along the last axis, with the given sd; Student t innovations if df."""
    e = rng.standard_normal(shape) if df is None else rng.standard_t(df, shape) * np.sqrt((df - 2) / df)
    out = np.empty(shape)
    out[..., 0] = e[..., 0]
    scale = np.sqrt(1 - rho * rho)
    for t in range(1, shape[-1]):
        out[..., t] = rho * out[..., t - 1] + scale * e[..., t]
    return sd * out


def _others(x, axis):
    """Mean over the other entries along axis."""
    n = x.shape[axis]
    return (x.sum(axis, keepdims=True) - x) / (n - 1)


def market(size: int, seed: int) -> dict:
    """Return a panel ordered by product, store and week; the law is told at the head of the file."""
    n_p, n_s, n_t = SHAPE[size]
    rng = np.random.default_rng([int(seed), int(size)])
    full = (n_p, n_s, n_t)

    # elasticities: constant in each product
    own = -OWN_MEDIAN * np.exp(OWN_CATEGORY * rng.standard_normal() + OWN_PRODUCT * rng.standard_normal(n_p))
    own = np.clip(own, -4.5, -0.8)
    share = SHARE_MEAN + SHARE_CATEGORY * rng.standard_normal() + SHARE_PRODUCT * rng.standard_normal(n_p)
    cross = -own * np.clip(share, 0.05, 0.75)

    # calendar of the platform: one campaign about every eight weeks
    week = np.arange(n_t)
    campaign = (week + rng.integers(8)) % 8 == 0
    season = (
        SEASON_SD * rng.standard_normal(n_t)
        + CAMPAIGN_LIFT * campaign
        + 0.2 * np.sin(2 * np.pi * (week + rng.integers(52)) / 52)
    )

    # popularity, and noise: forecast error, and counting (variance 1 / units: small
    # product-stores are noisier)
    level = (
        LEVEL_MEAN
        + LEVEL_PRODUCT * rng.standard_normal((n_p, 1, 1))
        + LEVEL_STORE * rng.standard_normal((1, n_s, 1))
        + LEVEL_BOTH * rng.standard_normal((n_p, n_s, 1))
    )
    noise = NOISE_SD * np.sqrt(4 / 6) * rng.standard_t(6, full) + np.exp(
        -0.5 * np.maximum(level, 2.0)
    ) * rng.standard_normal(full)

    # what the stores of a product have in common: wholesale cost, list price, policy, plan of weeks
    wholesale = _ar(rng, (n_p, 1, n_t), 0.8, WHOLESALE_SD)
    listed = 3.5 + BASE_SD * rng.standard_normal((n_p, 1, 1))
    plan = 0.3 * WATCH * (season - season.mean()) - 0.06 * campaign
    through = rng.uniform(PASS_MEAN - 0.2, PASS_MEAN + 0.2, (n_p, 1, 1))
    watch = WATCH * rng.uniform(0.5, 1.5, (n_p, 1, 1))

    def stores():
        """One set of n_s stores: their unseen demand, costs, promotions and prices."""
        demand = _ar(rng, full, ITEM_AR, ITEM_SD, 6) + _ar(rng, (1, n_s, n_t), TRAFFIC_AR, TRAFFIC_SD)
        goods = wholesale + _ar(rng, full, 0.6, LOCAL_SD)
        freight = _ar(rng, (1, n_s, n_t), 0.8, FREIGHT_SD)
        slot = rng.random(full) < np.where(campaign, PROMO_RATE_CAMPAIGN, PROMO_RATE)
        coupon = rng.random((1, n_s, n_t)) < COUPON_RATE
        cut = slot * (rng.random(full) < PROMO_TAKEN) * rng.uniform(*PROMO_DEPTH, full) + coupon * rng.uniform(
            *COUPON_DEPTH, (1, n_s, n_t)
        )
        base = listed + 0.3 * BASE_SD * rng.standard_normal((n_p, n_s, 1))
        alone = (
            base * (1 - MATCH)
            + plan
            + through * (goods + freight)
            - cut
            + watch * demand
            + WHIM_SD * rng.standard_normal(full)
        )
        # p_i = alone_i + MATCH * mean of others, solved: total = sum(alone) / (1 - MATCH)
        total = alone.sum(0, keepdims=True) / (1 - MATCH)
        price = (alone + MATCH * total / (n_p - 1)) / (1 + MATCH / (n_p - 1))
        return price, demand, goods, freight, slot, coupon

    price, demand, goods, freight, slot, coupon = stores()
    rivals = _others(price, 0)
    index = goods + COST_ERROR * rng.standard_normal(full)
    outside = sum(stores()[0] for _ in range(SHOPS)) / SHOPS

    # units: level is at the base price, so that elasticity does not set the size of the product
    sold = level + season + own[:, None, None] * (price - 3.5) + cross[:, None, None] * (rivals - 3.5) + demand + noise

    instruments = [
        index,  # cost shifter: the goods, with error
        np.broadcast_to(freight, full),  # cost shifter: fulfilment of the store
        slot.astype(float),  # promotion calendar: slot of the item
        np.broadcast_to(coupon.astype(float), full),  # promotion calendar: coupon of the store
        outside,  # other-store price: same product, week
    ]
    code = np.indices(full).reshape(3, -1)
    out = {
        "sold": sold.ravel(),
        "price": price.ravel(),
        "cross": rivals.ravel(),
        "product": code[0].astype(np.int64),
        "store": code[1].astype(np.int64),
        "week": code[2].astype(np.int64),
        "instruments": np.stack([z.ravel() for z in instruments], 1),
        "own": own,
        "cross_true": cross,
    }
    return out
