"""Which minutes mattered, on viewers whose usual moves are known."""

from __future__ import annotations

from statistics import median

import pytest

from tradewind.decisions.profiles.live_minutes import Room
from tradewind.decisions.profiles.live_moments import moments


def room(viewers: list[int | None], pinned: dict[int, str] | None = None) -> Room:
    crowd = {"joins_organic": 3, "joins_paid": None, "leaves": 0}
    minutes = {n: {"viewers": v, **crowd} for n, v in enumerate(viewers) if v is not None}
    sales = tuple({"minute": n, "product_id": id, "pinned": True} for n, id in (pinned or {}).items())
    return Room("L", None, minutes, sales, (), {"p": "Tea"})


def test_the_score_is_robust():
    moves = [1, -1, 2, -2, 0, 1, -1, 40, 3, -30, 1, 0, 2]
    viewers = [100]
    for move in moves:
        viewers.append(viewers[-1] + move)
    middle = median(moves)
    spread = 1.4826 * median(abs(move - middle) for move in moves)
    found = moments(room(viewers, {7: "q", 8: "p"}), 3.5, 6)
    assert [x.minute for x in found] == [8, 10]
    assert found[0].score == pytest.approx((40 - middle) / spread)
    assert found[0].beside == ("Tea pinned", "3 came by themselves")
    assert [x.minute for x in moments(room(viewers), 3.5, 1)] == [8]


def test_where_most_minutes_are_alike_the_mean_deviation_counts():
    viewers = [5] * 20 + [9] + [9] * 19
    [found] = moments(room(viewers), 3.5, 6)
    assert found.score == pytest.approx(4 / (1.2533 * 4 / 39))


def test_a_gap_is_no_change():
    viewers = [5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, None, 90, 91, 90, 91, 90]
    assert moments(room(viewers), 3.5, 6) == ()


@pytest.mark.parametrize(("viewers", "found"), [([7] * 30, ()), ([1, 50, 3], None), ([], None)])
def test_too_little_is_said_and_stillness_has_no_moments(viewers, found):
    assert moments(room(viewers), 3.5, 6) == found
