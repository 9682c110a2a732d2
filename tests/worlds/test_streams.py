"""Keyed random numbers: the same for the same keys, independent for others, of the law that they are said to have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tradewind.sources.worlds.streams import Streams, Urn

MANY = np.arange(200_000)


def test_a_draw_belongs_to_its_keys() -> None:
    draw = Streams(3)
    whole = draw.uniform("a", MANY, 5)
    assert np.array_equal(draw.uniform("a", MANY[::-1], 5), whole[::-1])
    assert np.array_equal(draw.uniform("a", MANY[:10, None], np.array([4, 5]))[:, 1], whole[:10])
    for other in (draw.uniform("b", MANY, 5), draw.uniform("a", MANY, 6), Streams(4).uniform("a", MANY, 5)):
        assert abs(np.corrcoef(whole, other)[0, 1]) < 0.01
        assert not (whole == other).any()
    swapped = draw.uniform("a", np.full_like(MANY, 5), MANY)
    assert abs(np.corrcoef(whole, swapped)[0, 1]) < 0.01


@pytest.mark.parametrize("keys", [(MANY,), (MANY * 1024, 7), (7, MANY), (MANY // 400, MANY % 400)])
def test_laws(keys) -> None:
    draw = Streams(11)
    assert stats.kstest(draw.uniform("x", *keys), "uniform").pvalue > 1e-3
    assert stats.kstest(draw.normal("x", *keys), "norm").pvalue > 1e-3
    assert stats.kstest(draw.gumbel("x", *keys), "gumbel_r").pvalue > 1e-3
    assert stats.kstest(draw.exponential("x", *keys), "expon").pvalue > 1e-3
    counts = np.bincount(draw.below(12, "x", *keys), minlength=12)
    assert stats.chisquare(counts).pvalue > 1e-3
    successive = draw.uniform("x", *keys)
    assert abs(np.corrcoef(successive[1:], successive[:-1])[0, 1]) < 0.01


def test_bits_are_even() -> None:
    bits = np.unpackbits(Streams(0).hashes("bits", MANY).view(np.uint8)).reshape(len(MANY), 64)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.006


def test_an_urn_draws_by_weight() -> None:
    draw = Streams(5)
    groups = np.array([0, 2, 0, 2, 2])
    weights = np.array([1.0, 2.0, 3.0, 5.0, 1.0])
    urn = Urn(groups, weights, 4)
    asked = np.repeat([0, 1, 2, 3], 50_000)
    keys = np.arange(len(asked))
    found = urn.draw(asked, draw.uniform("cell", keys), draw.uniform("alias", keys))
    assert set(found[asked == 1]) == set(found[asked == 3]) == {-1}
    for group in (0, 2):
        inside = np.flatnonzero(groups == group)
        counts = np.bincount(found[asked == group], minlength=5)
        wanted = weights[inside] / weights[inside].sum() * 50_000
        assert stats.chisquare(counts[inside], wanted).pvalue > 1e-3
        assert counts.sum() == counts[inside].sum()
