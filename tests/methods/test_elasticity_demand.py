"""Demand at known prices: known truth, a second implementation, and coverage with width."""

import numpy as np
import pytest

from tradewind.errors import BadInputError
from tradewind.methods.elasticity_demand import Demand, Shelf


def shop(seed, shape=(3, 4, 40), ahead=8, noise=0.2):
    """Shelves of products whose demand is linear in logarithms of all prices."""
    rng = np.random.default_rng(seed)
    products, stores, weeks = shape
    price = rng.normal(0, 0.2, shape)
    j, s, t = (axis.ravel() for axis in np.meshgrid(*(np.arange(k) for k in shape), indexing="ij"))
    others = price[:, s, t].T
    slope = rng.normal(0.3, 0.1, (products, products))
    slope[np.arange(products), np.arange(products)] = -2.5
    flag = (rng.random(len(j)) < 0.2).astype(float)
    level = rng.normal(3, 0.5, (products, stores))[j, s]
    mean = level + (others * slope[j]).sum(axis=1) + 0.5 * flag
    sold = mean + noise * rng.normal(size=len(j))
    asked = t >= weeks - ahead
    shelf = Shelf(np.where(asked, np.nan, sold), price[j, s, t], j, t, s, others, flag, np.zeros((len(j), 0)))
    return shelf, sold, mean, asked


def changed(shelf, **columns):
    return Shelf(**{**vars(shelf), **columns})


def test_recovers_a_known_demand():
    shelf, _, mean, asked = shop(1, (3, 4, 100), noise=0.05)
    told = Demand(half_life=1e6)(shelf)
    assert np.sqrt(np.mean((told.mid - mean)[asked] ** 2)) < 0.05
    assert np.isnan(told.mid[~asked]).all()
    assert 0 <= told.error < 0.1


def test_agrees_with_least_squares_product_by_product():
    shelf, sold, _, asked = shop(2, (2, 2, 200))
    shelf = changed(shelf, flags=np.zeros((len(sold), 0)))
    told = Demand(half_life=1e9)(shelf)
    for product in range(2):
        here = np.asarray(shelf.product) == product
        x = np.column_stack([shelf.others, (shelf.store[:, None] == np.arange(2)).astype(float)])[here]
        teach = ~asked[here]
        slope = np.linalg.lstsq(x[teach], sold[here][teach], rcond=None)[0]
        assert told.mid[here & asked] == pytest.approx(x[~teach] @ slope, abs=0.03)


def test_intervals_hold_as_often_as_they_say():
    held, widths = [], []
    for seed in range(20):
        shelf, sold, _, asked = shop(seed)
        told = Demand()(shelf)
        held.append(np.mean((told.low <= sold)[asked] & (sold <= told.high)[asked]))
        widths.append(np.mean((told.high - told.low)[asked]))
    assert 0.85 <= np.mean(held) <= 0.95
    assert np.mean(widths) == pytest.approx(2 * 1.645 * 0.2, rel=0.25)


def test_trees_join_where_demand_is_not_linear():
    shelf, sold, _, asked = shop(4, (3, 10, 60), noise=0.1)
    sold = sold + 1.5 * (np.asarray(shelf.price) < -0.2)
    told = Demand(rounds=60)(changed(shelf, sold=np.where(asked, np.nan, sold)))
    assert told.share > 0
    assert told.mid.tolist() == pytest.approx(
        Demand(rounds=60)(changed(shelf, sold=np.where(asked, np.nan, sold))).mid.tolist(), nan_ok=True
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"sold": np.zeros(480)},
        {"sold": np.full(480, np.nan)},
        {"sold": np.full(480, np.inf)},
        {"price": np.full(480, np.nan)},
        {"week": np.zeros(480)},
        {"store": np.zeros(479)},
        {"product": np.arange(480)},
        {"others": np.zeros((479, 3))},
        {"sold": ["much"] * 480},
        {"sold": np.zeros((480, 1))},
        {"price": ["dear"] * 480},
        {"product": np.array(["a", None] * 240, object)},
        {"week": np.arange(480) * 10**9},
    ],
)
def test_bad_input_is_one_clear_error(columns):
    with pytest.raises(BadInputError):
        Demand()(changed(shop(5)[0], **columns))


@pytest.mark.parametrize(
    "settings", [{"half_life": 0}, {"half_life": "long"}, {"rounds": 1.5}, {"level": "high"}, {"seed": -1}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(BadInputError):
        Demand(**settings)
