"""Response: known truth, a dense Gaussian process and a quadratic program, coverage with width, and what is refused."""

from decimal import Decimal

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.isotonic import IsotonicRegression

from tradewind.errors import BadInputError
from tradewind.methods.response import APART, SIZES, STRAIGHT, Response, _kernel, _walls, projected

DOSES = np.array([2.0, 5.0, 10.0, 20.0])
SHAPES = {
    "concave": lambda d: 1 - np.exp(-d / 6),
    "threshold": lambda d: 1 / (1 + np.exp(-(d - 8) / 1.5)),
}


def market(seed, shape="concave", groups=120, error=0.4):
    """Groups whose curves differ by a factor, and effects that were estimated with a known error."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(1.0, 0.35, groups)[:, None] * SHAPES[shape](DOSES)
    seen = truth + error * rng.standard_normal(truth.shape)
    return truth, seen, np.tile(DOSES, groups), np.repeat(np.arange(groups), len(DOSES))


def found_in(seed, shape="concave", error=0.4, **settings):
    truth, seen, dose, group = market(seed, shape, error=error)
    return truth, seen, Response(draws=400, **settings)(dose, seen.ravel(), np.full(seen.size, error), group)


def test_shrinks_to_near_the_truth():
    truth, seen, found = found_in(1)
    assert found.mid.shape == truth.shape
    assert np.sqrt(np.mean((found.mid - truth) ** 2)) < 0.5 * np.sqrt(np.mean((seen - truth) ** 2))
    assert np.abs(found.common - SHAPES["concave"](DOSES)).max() < 0.12
    assert (np.diff(np.insert(found.mid, 0, 0, axis=1), axis=1) >= -1e-6).all()


def test_precise_effects_are_told_as_they_are():
    truth, _, found = found_in(2, error=0.005)
    assert found.mid == pytest.approx(truth, abs=0.03)


def test_concave_where_the_data_say_so_and_only_there():
    shapes = [[found_in(seed, shape)[2].shape for seed in range(6)] for shape in SHAPES]
    assert shapes == [["concave"] * 6, ["monotone"] * 6]


def test_means_are_those_of_a_dense_gaussian_process():
    """Free curves of three groups with different doses, by one joint normal over all effects for each prior."""
    rng = np.random.default_rng(3)
    group = np.array([0, 0, 0, 1, 1, 2])
    dose = np.array([2.0, 5, 20, 5, 10, 20])
    effect, error = rng.normal(1, 0.5, 6), rng.uniform(0.2, 0.5, 6)
    found = Response(shape="free", draws=40_000)(dose, effect, error, group)
    place = np.searchsorted(DOSES, dose)
    typical = np.sqrt(np.average(effect**2, weights=error**-2) + error.min() ** 2)
    weights, means = [], []
    for size, stretch in zip(SIZES, np.gradient(SIZES), strict=True):
        for apart, apiece in zip(APART, np.gradient(APART), strict=True):
            for straight in STRAIGHT:
                kernel = _kernel(DOSES, straight, True) * (size * typical) ** 2
                same = group[:, None] == group[None, :]
                seen = kernel[np.ix_(place, place)] * (1 + apart**2 * same) + np.diag(error**2)
                likely = -0.5 * (effect @ np.linalg.solve(seen, effect) + np.linalg.slogdet(seen)[1])
                weights.append(likely + np.log(stretch * apiece))
                solved = np.linalg.solve(seen, effect)
                means.append([
                    (kernel[:, place] * (1 + apart**2 * (group == g))) @ solved for g in range(3)
                ])  # fmt: skip
    weight = np.exp(np.array(weights) - max(weights))
    weight[weight < 0.01 * weight.max()] = 0
    expected = np.einsum("k,kgd->gd", weight / weight.sum(), np.array(means))
    assert found.mid == pytest.approx(expected, abs=0.02)


def test_projections_are_those_of_other_solvers():
    rng = np.random.default_rng(4)
    curves = rng.normal(0.3, 1, (40, 5)).cumsum(axis=1)
    grid = np.array([1.0, 2, 4, 7, 11])
    rising = projected(curves, _walls(grid, "monotone", False))
    concave = projected(curves, _walls(grid, "concave", True))
    ramps = np.minimum(grid[:, None], grid[None, :])  # what is concave and rises is a sum of ramps
    for n in range(40):
        assert rising[n] == pytest.approx(IsotonicRegression().fit_transform(np.arange(5), curves[n]), abs=1e-5)
        assert concave[n] == pytest.approx(ramps @ nnls(ramps, curves[n])[0], abs=1e-6)


def test_projections_on_many_doses_keep_to_the_shape():
    """Steps along one wall at a time, as many as 1,000 rounds of them, left curves of twenty doses short of it."""
    rng = np.random.default_rng(7)
    grid = np.linspace(1.0, 30.0, 20)
    curves = 2 * grid / (10 + grid) + rng.normal(0, 0.3, (30, 20)).cumsum(axis=1)
    ramps = np.minimum(grid[:, None], grid[None, :])
    concave = projected(curves, _walls(grid, "concave", True))
    for n in range(30):
        assert concave[n] == pytest.approx(ramps @ nnls(ramps, curves[n])[0], abs=1e-6)
    rising = projected(curves, _walls(grid, "monotone", True))
    assert np.diff(rising, axis=1, prepend=0.0).min() > -1e-9


@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_cover_as_often_as_they_say_and_are_narrow(shape):
    held, width, runs = [], [], 12
    for seed in range(100, 100 + runs):
        truth, _, found = found_in(seed, shape)
        held.append((found.low <= truth) & (truth <= found.high))
        width.append(found.high - found.low)
    assert 0.82 <= np.mean(held) <= 0.97
    assert np.mean(width) < 0.6 * 2 * 1.645 * 0.4, "much narrower than each effect by itself"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("groups", "error"), [(1, 0.5), (2, 0.4), (5, 0.4)])
def test_few_groups_are_hardly_drawn_towards_nothing(groups, error, shape):
    held, above, width = [], [], []
    for seed in range(40 // groups):
        truth, seen, dose, group = market(seed, shape, groups, error)
        found = Response(draws=300)(dose, seen.ravel(), np.full(seen.size, error), group)
        held.append((found.low <= truth) & (truth <= found.high))
        above.append(truth > found.high)
        width.append(found.high - found.low)
    assert 0.83 <= np.mean(held) <= 0.95
    assert np.mean(above) < 0.14
    assert np.mean(width) < 0.6 * 2 * 1.645 * error, "narrower than each effect by itself"


def test_what_contradicts_the_shape_says_so():
    rising = "the outcomes contradict a response that rises with the dose"
    for effect in ([-1, -2, -3], [3, 2, 1]):
        found = Response()([5, 10, 20], effect, [0.1] * 3)
        best = found.best([-0.5] * 3)
        assert found.misfit == best.reason == (rising,)
        assert not best.identified[0]
    two = Response()([5, 10, 10], [1, 0, 10], [0.1] * 3)
    assert two.misfit == ("outcomes of one dose differ by more than chance",)
    assert not two.best([0.5, 2]).identified[0]
    bent = Response(shape="concave")([5, 10, 20], [0.1, 0.2, 5], [0.1] * 3)
    assert bent.misfit == ("the outcomes contradict a response that rises ever more slowly with the dose",)
    assert Response(shape="free")([5, 10, 20], [3, 2, 1], [0.1] * 3).misfit == ("",)
    assert Response(anchored=False)([5, 10, 20], [-3, -2, -1], [0.1] * 3).misfit == ("",)


def test_one_group_that_contradicts_the_shape_is_told_from_others_and_many_together():
    _, seen, dose, group = market(8, groups=20)
    seen[3] = [3, 2, 1, 0]
    found = Response(draws=100)(dose, seen.ravel(), np.full(80, 0.4), group)
    assert [n for n, words in enumerate(found.misfit) if words] == [3]
    slight = Response(draws=100)(np.tile([5, 10], 30), [-1.0] * 60, [0.5] * 60, np.repeat(np.arange(30), 2))
    assert all(words.startswith("together with those of other groups") for words in slight.misfit)


@pytest.mark.parametrize("shape", SHAPES)
def test_chance_alone_rarely_contradicts(shape):
    told = [found_in(seed, shape)[2].misfit for seed in range(5)]
    assert sum(bool(words) for each in told for words in each) <= 3  # of 600


def test_the_dose_that_earns_most():
    truth, seen, found = found_in(5)
    cost = 0.05 * DOSES
    best = found.best(cost)
    options, worth = np.append(0, DOSES), np.column_stack([np.zeros(len(truth)), truth - cost])
    at = np.arange(len(truth))
    got = worth[at, np.searchsorted(options, best.dose)]
    naive = worth[at, np.argmax(np.column_stack([np.zeros(len(seen)), seen - cost]), axis=1)]
    assert got.sum() > 0.9 * worth.max(axis=1).sum()
    assert got.sum() > naive.sum()
    optimum = options[np.argmax(worth, axis=1)]
    assert np.mean((best.low <= optimum) & (optimum <= best.high)) > 0.85
    assert np.mean((best.value_low <= got) & (got <= best.value_high)) > 0.82
    assert (found.best(100 * DOSES).dose == 0).all()
    assert found.best(2 * cost, Decimal(2)).dose.tolist() == best.dose.tolist()  # money is exact, and may be given so


def test_what_cannot_be_told_says_so():
    vague = Response()([5, 10, 20], [1.0, 1.4, 1.7], [2.0, 2.0, 2.0]).best([0.3, 0.6, 1.2])
    assert not vague.identified[0]
    assert "any dose" in vague.reason[0]
    open_above = Response()([5, 10, 20], [1.0, 2.0, 4.0], [0.01] * 3).best([0.1, 0.2, 0.3])
    assert open_above.reason == ("the best dose lies at the largest one told or beyond",)
    perhaps = Response()([5, 10, 20], [1, 1.9, 2.3], [0.3] * 3).best([0.1, 0.6, 1.2])
    assert perhaps.low[0] < perhaps.high[0] == 20
    assert not perhaps.identified[0]
    assert perhaps.reason == ("the best dose may lie at the largest one told or beyond",)
    dose, effect = [5, 10, 20, 5, 10, 20, 10], [1.0, 1.6, 1.9, 1.1, 1.7, 2.0, 1.6]
    borrowed = Response()(dose, effect, [0.05] * 7, list("aaabbbc"))
    assert borrowed.tried.tolist() == [3, 3, 1]
    assert "rests on other groups" in borrowed.best([0.3, 0.6, 1.6]).reason[2]


def test_a_coupon_that_annoys_may_begin_below_nothing():
    dose, effect = np.tile([2.0, 5, 10], 30), np.tile([-0.5, 0.2, 0.8], 30)
    seen = effect + 0.05 * np.random.default_rng(6).standard_normal(90)
    found = Response(anchored=False)(dose, seen, np.full(90, 0.05), np.repeat(np.arange(30), 3))
    assert found.common == pytest.approx([-0.5, 0.2, 0.8], abs=0.08)
    assert found.shape == "monotone"


def test_the_same_seed_gives_the_same_answer_and_units_do_not_matter():
    _, seen, dose, group = market(7)
    error = np.full(seen.size, 0.4)
    one, two = (Response(draws=300)(dose, seen.ravel(), error, group) for _ in range(2))
    assert np.array_equal(one.low, two.low)
    scaled = Response(draws=300)(dose * 7, seen.ravel() * 1000, error * 1000, group)
    assert scaled.mid == pytest.approx(one.mid * 1000, rel=1e-3, abs=1.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Response(level=1.0), "out of range"),
        (lambda: Response(shape="wavy"), "No such shape"),
        (lambda: Response(shape="concave", anchored=False), "not held to be concave"),
        (lambda: Response(level="high"), "out of range"),
        (lambda: Response(seed=-1), "out of range"),
        (lambda: Response(seed=1.5), "out of range"),
        (lambda: Response(draws=150.5), "out of range"),
        (lambda: Response()([1], [1, 2], [1]), "do not fit"),
        (lambda: Response()(["a"], [1], [1]), "dose is not a number"),
        (lambda: Response()([1, 2], [1e120, 1], [1, 1]), "too far apart"),
        (lambda: Response()([1, 2], [1, 1], [1e-300, 1]), "too far apart"),
        (lambda: Response()([1e-300, 2], [1, 1], [1, 1]), "too far apart"),
        (lambda: Response()([1, 2], [1, 1], [1, 1], ["a", None]), "have no group"),
        (lambda: Response()([1, 2], [1, 1], [1, 1], np.array(["a", 1], object)), "several types"),
        (lambda: Response()([1.0], [1.0], [1.0], at=["a"]), "dose is not a number"),
        (lambda: Response()([1.0], [1.0], [1.0]).best(["a"]), "cost is not a number"),
        (lambda: Response()([1.0], [1.0], [1.0]).best([1.0], np.nan), "value of an effect"),
        (lambda: Response()([], [], []), "do not fit"),
        (lambda: Response()([0.0], [1.0], [1.0]), "cannot be used"),
        (lambda: Response()([1.0], [np.nan], [1.0]), "cannot be used"),
        (lambda: Response()([1.0], [1.0], [0.0]), "cannot be used"),
        (lambda: Response()([1.0], [1.0], [1.0], at=[2.0]), "only where doses were tried"),
        (lambda: Response()([1.0, 2.0], [1.0, 2.0], [1.0, 1.0]).best([1.0]), "Costs do not fit"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises(BadInputError, match=said):
        call()
