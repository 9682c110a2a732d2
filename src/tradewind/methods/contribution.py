"""Contributions: what each part of a metric added to its change, without an order and without a remainder.

Two questions, one arithmetic. `tree` takes a metric apart, from one sum or product to a whole tree of them, and
`volume_mix_rate` takes a ratio and its numerator apart over the slices of a dimension. Both work on arrays of any shape
at once, such as the slices of a cube.

**What has no value.** A ratio over nothing has no value, which is not zero. Where something is undefined on one side,
it takes its value of the other side: it did not move, and the change goes to what appeared or vanished. So when the
buyers of a slice go from none to five, its orders per buyer and its order value get nothing, and its buyers get all.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError

Array = NDArray[np.float64]

CLOSE = 1e-9  # of what was counted, by which factors may miss it


@dataclass(frozen=True)
class Node:
    """One node of a metric tree: a leaf, or how its children make it.

    Args:
        name: Its name, unique in the tree.
        kind: `leaf`, `sum`, `product`, or `ratio` of the first child to the second.
        children: The nodes that it is made of; none for a leaf.
        signs: Per child +1 or −1: the sign of a term, or the exponent of a factor; all +1 when left out.

    Raises:
        BadInputError: If children or signs do not fit the kind.

    Examples:
        >>> buyers = Node("buyers")
        >>> gmv = Node("GMV", "product", (buyers, Node("GMV per buyer", "ratio", (Node("spent"), Node("who spent")))))
        >>> [leaf.name for leaf in gmv.walk() if leaf.kind == "leaf"]
        ['buyers', 'spent', 'who spent']
    """

    name: str
    kind: Literal["leaf", "sum", "product", "ratio"] = "leaf"
    children: tuple[Node, ...] = ()
    signs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        kinds = ("leaf", "sum", "product", "ratio")
        if self.kind not in kinds:
            raise BadInputError(f"Node '{self.name}' is of an unknown kind", got=self.kind, allowed=kinds)
        count = len(self.children)
        if count != {"leaf": 0, "ratio": 2}.get(self.kind, count) or (count == 0 and self.kind != "leaf"):
            allowed = "leaf: none, ratio: two, sum and product: one or more"
            raise BadInputError(
                f"The {self.kind} '{self.name}' has the wrong number of children", got=count, allowed=allowed
            )
        signs = self.signs or ((1, -1) if self.kind == "ratio" else (1,) * count)
        if len(signs) != count or not set(signs) <= {1, -1} or (self.kind == "ratio" and signs != (1, -1)):
            allowed = "+1 or −1 for each child; none for a ratio"
            raise BadInputError(f"The signs of '{self.name}' do not fit its children", got=self.signs, allowed=allowed)
        object.__setattr__(self, "signs", signs)

    def walk(self) -> Iterator[Node]:
        """Yield the node and everything below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Contribution:
    """What each part added to a change; the parts sum to it.

    Args:
        before: The whole before, in its own unit; any shape.
        after: The whole after, of the same shape.
        parts: By term, factor or leaf: what it added to `after − before`, in the unit of the whole, of that shape.
        nodes: By inner node of a tree below its root: the same; equal to the sum over its children.
    """

    before: Array
    after: Array
    parts: Mapping[str, Array]
    nodes: Mapping[str, Array] = field(default_factory=dict)

    @property
    def change(self) -> Array:
        """The change that the parts sum to."""
        return self.after - self.before


@dataclass(frozen=True)
class VolumeMixRate:
    """The changes of a ratio ΣN/ΣD and of its numerator ΣN, by slice; slices lie on the last axis.

    Args:
        volume: Change of the numerator because the whole denominator moved, in the unit of the numerator.
        mix: Change of the numerator because shares of the denominator moved to better or worse slices.
        rate: Change of the numerator because the slice's own ratio moved.
        ratio_mix: Change of the ratio because shares moved, in the unit of the ratio.
        ratio_rate: Change of the ratio because the slice's own ratio moved.
    """

    volume: Array
    mix: Array
    rate: Array
    ratio_mix: Array
    ratio_rate: Array


def tree(root: Node, before: Mapping[str, ArrayLike], after: Mapping[str, ArrayLike]) -> Contribution:
    """Spread the change of a metric over every node of its tree, so that children sum to their parent.

    Going down from the root, a node's contribution is its own change times what one unit of it was worth to its parent:
    ±1 in a sum, in a product its Shapley weight, and for a divisor x also −1/(x₀x₁), the slope of 1/x from one side to
    the other. Nothing is divided by a change, so that terms which cancel each other keep their parts.

    The Shapley weight of a factor is its average over all orders in which the factors could have moved, in closed form
    for any number of them: ∫₀¹ Π_{j≠i} (yⱼ + t Δyⱼ) dt, a polynomial that Gauss and Legendre integrate exactly. Nothing
    is divided, so that factors may come from zero or go to it; factors that grew by the same ratio get the same. A
    factor may be NaN, undefined, only where another one is zero: see the module's rule.

    At every node children sum to their parent, hence leaves to the root; what did not move gets zero; siblings that
    moved alike get the same; swapping before and after flips every sign; cutting a term of a sum into finer terms
    changes no other part. It is the Owen value, the average over the orders that keep each subtree together, except for
    a sum inside a divisor: its terms get their Aumann–Shapley value, since Owen's would change with how finely the sum
    is cut. A product inside a product counts as one factor; write the tree flat where its factors are to weigh as much
    as those beside it.

    Args:
        root: The tree, each name in it once.
        before: By leaf, its value before: numbers or arrays that broadcast together. A product may be given as well,
            as it was counted by itself.
        after: The same names after.

    Returns:
        The contribution to the root's change of each leaf, in `parts`, and of each inner node, in `nodes`.

    Raises:
        BadInputError: If a name repeats, the names differ from the tree's, a value is infinite, the root has no value
            on one side, or factors do not multiply to what was counted, as 0 buyers do not where none is known.

    Reference:
        Shapley (1953), A value for n-person games; Owen (1972), Multilinear extensions of games: the integral along the
        diagonal; Owen (1977), Values of games with a priori unions; Winter (1989), A value for cooperative games with
        levels structure; Aumann and Shapley (1974), Values of non-atomic games.

    Examples:
        >>> visits = Node("visits", "sum", (Node("paid"), Node("organic")))
        >>> per_visit = Node("GMV per visit", "ratio", (Node("GMV"), visits))
        >>> moved = tree(per_visit, {"GMV": 80, "paid": 20, "organic": 20}, {"GMV": 80, "paid": 60, "organic": 20})
        >>> {name: float(part) for name, part in moved.parts.items()}, float(moved.nodes["visits"])
        ({'GMV': 0.0, 'paid': -1.0, 'organic': 0.0}, -1.0)
    """
    repeated = [name for name, count in Counter(node.name for node in root.walk()).items() if count > 1]
    if repeated:
        raise BadInputError("A name stands at several nodes of the tree", got=", ".join(repeated))
    leaves = {node.name for node in root.walk() if node.kind == "leaf"}
    counted = {node.name for node in root.walk() if node.kind == "product"}
    if set(before) != set(after) or not leaves <= set(before) <= leaves | counted:
        got = f"before {', '.join(sorted(before))}; after {', '.join(sorted(after))}"
        raise BadInputError("Values before and after must be given for the same names", got=got, allowed=sorted(leaves))
    old, new = ({name: _numbers(name, value) for name, value in side.items()} for side in (before, after))
    try:
        shape = np.broadcast_shapes(*(array.shape for side in (old, new) for array in side.values()))
    except ValueError as error:
        raise BadInputError("The shapes of the values do not fit together", got=error) from error
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        whole_before, whole_after, parts = _spread(root, old, new)
    if not all(np.isfinite(array).all() for array in (whole_before, whole_after, *parts.values())):
        unknown = [name for name in before if np.isnan(old[name]).any() or np.isnan(new[name]).any()]
        raise BadInputError(
            "The whole has no value on one side, so that its change is unknown",
            got=f"missing values in {', '.join(unknown)}" if unknown else "a divisor of zero or an overflow",
            allowed="a missing factor where another factor is zero",
            do="leave out the slices that lack a value",
        )
    parts = {name: np.broadcast_to(part, shape) for name, part in parts.items()}
    return Contribution(
        np.broadcast_to(whole_before, shape),
        np.broadcast_to(whole_after, shape),
        {name: part for name, part in parts.items() if name in leaves},
        {name: part for name, part in parts.items() if name not in leaves},
    )


def volume_mix_rate(
    numerator_before: ArrayLike, denominator_before: ArrayLike, numerator_after: ArrayLike, denominator_after: ArrayLike
) -> VolumeMixRate:
    """Spread the change of a ratio ΣN/ΣD, and of its numerator ΣN, over the slices of a dimension.

    With a slice's share s = D/ΣD and ratio r = N/D, the overall ratio R = ΣN/ΣD, and bars for the mean of both sides:
    ΔR = Σ [s̄ Δr + Δs (r̄ − R̄)], rate and mix; and ΔN = volume + D̄ · mix + D̄ · rate in every slice, D being the whole
    denominator, where the volumes sum to ΔD · R̄. A growing share helps only in a slice that is better than the whole.
    Mix is zero when shares stay, rate is zero when ratios stay, and swapping before and after flips every sign.

    A slice that is absent on one side has no ratio there and takes that of the other side, so that all it brings is mix
    and volume. Where the whole denominator is zero on one side, all is volume, and the ratio did not move.

    Args:
        numerator_before: Numerator by slice before; slices on the last axis, any leading axes such as draws.
        denominator_before: Denominator by slice before, not negative.
        numerator_after: Numerator by slice after.
        denominator_after: Denominator by slice after, not negative.

    Returns:
        Volume, mix and rate of the numerator, and mix and rate of the ratio, all by slice.

    Raises:
        BadInputError: If there are no slices, shapes do not fit, a value is missing or infinite, a denominator is
            negative, or a slice has a numerator and no denominator.

    Reference:
        Bennet (1920), The theory of measurement of changes in cost of living, for the midpoints; Griliches and Regev
        (1995), Firm productivity in Israeli industry, for slices that enter and leave.

    Examples:
        Orders over visits: search converts as before, but visits shifted from search to the feed.

        >>> moved = volume_mix_rate([10, 2], [100, 100], [5, 3], [50, 150])
        >>> [effect.sum().round(6).item() for effect in (moved.volume, moved.mix, moved.rate)]
        [0.0, -4.0, 0.0]
    """
    sides = (numerator_before, denominator_before, numerator_after, denominator_after)
    names = ("numerator before", "denominator before", "numerator after", "denominator after")
    arrays = [_numbers(name, value) for name, value in zip(names, sides, strict=True)]
    try:
        n0, d0, n1, d1 = np.broadcast_arrays(*arrays)
    except ValueError as error:
        raise BadInputError("The shapes of numerators and denominators do not fit together", got=error) from error
    if n0.ndim == 0 or n0.shape[-1] == 0:
        raise BadInputError("A ratio is taken apart over slices", got="no slices", allowed="one slice or more")
    for name, array in zip(names, arrays, strict=True):
        if np.isnan(array).any():
            raise BadInputError(f"The {name} lacks values", got="NaN", do="leave out the slices that lack a value")
    if min(d0.min(), d1.min()) < 0:
        raise BadInputError("A denominator is negative", got=float(min(d0.min(), d1.min())), allowed="zero or more")
    if ((d0 == 0) & (n0 != 0)).any() or ((d1 == 0) & (n1 != 0)).any():
        do = "join the slice to one with a denominator, or leave it out"
        raise BadInputError("A slice has a numerator and no denominator", do=do)

    whole0, whole1 = (d.sum(axis=-1, keepdims=True) for d in (d0, d1))
    share0, share1 = _carried(_over(d0, whole0), _over(d1, whole1))
    ratio0, ratio1 = _carried(_over(n0, d0), _over(n1, d1))
    overall0, overall1 = _carried(
        _over(n0.sum(axis=-1, keepdims=True), whole0), _over(n1.sum(axis=-1, keepdims=True), whole1)
    )
    overall, whole, share_change = (overall0 + overall1) / 2, (whole0 + whole1) / 2, share1 - share0
    ratio_rate = (share0 + share1) / 2 * (ratio1 - ratio0)
    ratio_mix = share_change * ((ratio0 + ratio1) / 2 - overall)
    # A slice keeps, as volume, its part of the whole's growth and its own moved share at the overall ratio; the latter
    # cancels over the slices, and without it a slice would not sum to its own change.
    volume = (whole1 - whole0) * (share0 * ratio0 + share1 * ratio1) / 2 + whole * share_change * overall
    return VolumeMixRate(volume, whole * ratio_mix, whole * ratio_rate, ratio_mix, ratio_rate)


def _spread(
    node: Node, before: Mapping[str, Array], after: Mapping[str, Array]
) -> tuple[Array, Array, dict[str, Array]]:
    """Return the node's value on both sides, and what everything below it added to its change."""
    if node.kind == "leaf":
        return before[node.name], after[node.name], {}
    below = [_spread(child, before, after) for child in node.children]
    old, new = [start for start, _, _ in below], [end for _, end, _ in below]
    if node.kind == "sum":
        whole_before, whole_after = _sum(old, node.signs), _sum(new, node.signs)
        slopes = [np.asarray(float(sign)) for sign in node.signs]
    else:
        whole_before, whole_after = _product(old, node.signs), _product(new, node.signs)
        for whole, side in ((whole_before, before), (whole_after, after)):
            if node.name in side and not np.allclose(whole, side[node.name], rtol=CLOSE, atol=0, equal_nan=True):
                do = "leave out what a factor does not count"
                raise BadInputError(f"The factors of '{node.name}' do not multiply to it", do=do)
        slopes = _slopes(old, new, node.signs)
    # A node that is undefined on one side did not move, and so nothing below it did.
    moved = ~(np.isnan(whole_before) | np.isnan(whole_after))
    parts: dict[str, Array] = {}
    for child, (start, end, within), slope in zip(node.children, below, slopes, strict=True):
        first, last = _carried(start, end)
        for name, part in {child.name: last - first, **within}.items():
            parts[name] = np.where(moved, slope * part, 0.0) + 0.0  # no reader should meet a negative zero
    return whole_before, whole_after, parts


def _sum(values: Sequence[Array], signs: Sequence[int]) -> Array:
    return np.asarray(sum(sign * value for sign, value in zip(signs, values, strict=True)), dtype=np.float64)


def _product(values: Sequence[Array], exponents: Sequence[int]) -> Array:
    """Multiply and divide: zero where a factor is zero, whatever is undefined beside it, but zero over zero is NaN."""
    product, zero, nothing = np.asarray(1.0), np.asarray(False), np.asarray(False)
    for value, exponent in zip(values, exponents, strict=True):
        product = product * _power(value, exponent)
        zero = zero | ((value == 0) & (exponent > 0))
        nothing = nothing | ((value == 0) & (exponent < 0))
    known = ~np.isnan(np.asarray(sum(values)))
    if (nothing & ~zero & known).any():
        do = "leave out the slices with a divisor of zero"
        raise BadInputError("A divisor is zero while what it divides is not", do=do)
    return np.where(zero, np.where(nothing, np.nan, 0.0), product)


def _slopes(before: Sequence[Array], after: Sequence[Array], exponents: Sequence[int]) -> list[Array]:
    """Return what one unit of each factor's change added to the product, so that slope · (end − start) sum to it."""
    pairs = [_carried(_power(b, e), _power(a, e)) for b, a, e in zip(before, after, exponents, strict=True)]
    slopes = [np.asarray(0.0)] * len(pairs)
    # n points integrate a polynomial of degree 2n − 1 exactly; here the degree is one less than there are factors.
    points, weights = np.polynomial.legendre.leggauss((len(pairs) + 1) // 2)
    for t, weight in zip((points + 1) / 2, weights / 2, strict=True):
        path = [start + t * (end - start) for start, end in pairs]
        # The product of all but one, without dividing: what stands ahead of it times what stands behind it.
        ahead = list(accumulate(path[:-1], operator.mul, initial=np.asarray(float(weight))))
        behind = list(accumulate(path[:0:-1], operator.mul, initial=np.asarray(1.0)))[::-1]
        slopes = [slope + left * right for slope, left, right in zip(slopes, ahead, behind, strict=True)]
    # For a divisor, 1/b − 1/a = −(b − a) · 1/a · 1/b.
    return [
        slope if e > 0 else -slope * start * end
        for slope, (start, end), e in zip(slopes, pairs, exponents, strict=True)
    ]


def _power(value: Array, exponent: int) -> Array:
    return value if exponent > 0 else _over(np.asarray(1.0), value)


def _over(numerator: Array, denominator: Array) -> Array:
    """Divide, with NaN where the denominator is zero."""
    return np.asarray(numerator / np.where(denominator == 0, np.nan, denominator), dtype=np.float64)


def _carried(before: Array, after: Array) -> tuple[Array, Array]:
    """Give what is undefined on one side its value of the other side, and zero where both are undefined."""
    start = np.where(np.isnan(before), after, before)
    end = np.where(np.isnan(after), before, after)
    return np.nan_to_num(start, nan=0.0), np.nan_to_num(end, nan=0.0)


def _numbers(name: str, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"The values of '{name}' are not numbers", got=value) from error
    if np.isinf(array).any():
        raise BadInputError(f"A value of '{name}' is infinite", got="inf", allowed="finite numbers")
    return array
