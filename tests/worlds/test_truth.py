"""The truth of moves: nothing for nothing, the same in expectation as on average, and what randomised arms show."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.errors import BadInputError
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.truth import expected, realised
from tradewind.sources.worlds.world import World


def best(world: World) -> list[int]:
    return np.argsort(-world.state.pace)[:20].tolist()


def test_nothing_is_worth_exactly_nothing(lived: World) -> None:
    moves = [Move("traffic", 21, 5, {"product": product, "budget": 0.0}) for product in best(lived)]
    for effect in (realised(lived, moves, 7), expected(lived, moves, 7, futures=2)):
        assert effect.joint == 0
        assert not effect.parties.any()
        assert not effect.error.any()


@pytest.mark.parametrize("lever", ["price", "listing", "coupon"])
def test_what_is_expected_is_what_happens_on_average(lived: World, lever: str) -> None:
    everybody = np.arange(lived.preset.customers)
    moves = {
        "price": [Move("price", 21, 5, {"product": product, "off": 0.4}) for product in best(lived)],
        "listing": [Move("listing", 21, 5, {"product": product, "effort": 1.5}) for product in best(lived)],
        "coupon": [Move("coupon", 21, 5, {"customers": everybody, "face": 4.0, "threshold": 8.0, "shop": -1,
                                          "platform": 1.0, "brand": 0.0})],
    }[lever]  # fmt: skip
    told = expected(lived, moves, 5, futures=8)
    drawn = [realised(lived.fork(luck=n), moves, 5) for n in range(100, 120)]
    parties = np.array([effect.parties for effect in drawn])
    for n in range(parties.shape[1]):
        error = np.hypot(parties[:, n].std(ddof=1) / len(drawn) ** 0.5, told.error[n])
        assert abs(parties[:, n].mean() - told.parties[n]) <= 3.5 * error
    joint = np.array([effect.joint for effect in drawn])
    error = np.hypot(joint.std(ddof=1) / len(drawn) ** 0.5, told.joint_error)
    assert abs(joint.mean() - told.joint) <= 3.5 * error


def test_randomised_arms_show_the_truth(lived: World) -> None:
    """Half of the customers get a coupon by lot: their orders less the others' are the effect that the world knows."""
    who = np.arange(lived.preset.customers)
    lot = np.random.default_rng(3).permutation(len(who)) < len(who) // 2

    def coupon(customers: np.ndarray) -> list[Move]:
        return [Move("coupon", 21, 14, {"customers": customers, "face": 8.0, "threshold": 8.0, "shop": -1,
                                        "platform": 1.0, "brand": 0.0})]  # fmt: skip

    def orders(days: list) -> np.ndarray:
        lines = [day.lines.where((day.lines["line"] == 0) & day.lines["paid"]) for day in days]
        return np.bincount(np.concatenate([part["customer"] for part in lines]), minlength=len(who))

    trial = orders(lived.fork().advance(14, coupon(who[lot])))
    shown = trial[lot].mean() - trial[~lot].mean()
    error = (trial[lot].var() / lot.sum() + trial[~lot].var() / (~lot).sum()) ** 0.5
    truth = orders(lived.fork().advance(14, coupon(who))).mean() - orders(lived.fork().advance(14)).mean()
    assert truth > 0
    assert abs(shown - truth) < 3.5 * error


def test_one_future_is_no_expectation(lived: World) -> None:
    with pytest.raises(BadInputError, match="over futures"):
        expected(lived, [], 1, futures=1)
