"""What holds in every world, whatever its size, seed and laws."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.preset import PRESETS, Laws, Preset
from tradewind.sources.worlds.truth import by_unit, realised
from tradewind.sources.worlds.world import Shown, World

presets = st.builds(
    Preset, st.just("small"), st.integers(1, 8), st.integers(10, 60), st.integers(50, 900), st.integers(1, 12),
    st.floats(0.0, 3.0), st.floats(1.0, 60.0), st.just(12),
    st.sampled_from([PRESETS["town"].laws, PRESETS["town_b"].laws, Laws(refund=0.5, unpaid=0.5, pieces=0.6)]),
)  # fmt: skip


class Chances:
    """Looks at every block of sessions."""

    def shown(self, today: object, block: Shown) -> None:
        chances = block.wants.chances()
        assert (chances >= 0).all()
        assert (chances.sum(axis=1) <= 1).all()
        assert (chances[block.slates.product < 0] == 0).all()
        chosen = np.flatnonzero(block.chosen >= 0)
        assert block.clicked[chosen, block.chosen[chosen]].all(), "what is bought was clicked"

    def live(self, *day: object) -> None: ...

    def done(self, *day: object) -> None: ...


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(presets, st.integers(0, 2**32), st.data())
def test_every_world_keeps_its_books(preset: Preset, seed: int, data: st.DataObject) -> None:
    world = World(preset, seed)
    world.advance(4, watch=Chances())
    before = world.state.stock.copy()
    for day in world.fork().advance(3):
        assert (day.profit[~day.lines["paid"]] == 0).all(), "what is not paid brings nothing"
        assert (day.lines["refunded"] <= day.lines["paid"]).all()
        assert np.isfinite(day.parties).all()
    assert (world.state.stock == before).all(), "a fork leaves the world as it was"
    assert (world.state.stock >= 0).all()
    product = data.draw(st.integers(0, preset.products - 1))
    shop, share = data.draw(st.integers(0, preset.shops - 1)), data.draw(st.floats(0, 1))
    everybody = np.arange(preset.customers)
    nothing = [
        Move("traffic", 4, 3, {"product": product, "budget": 0.0}),
        Move("listing", 4, 3, {"product": product, "effort": 0.0}),
        Move("live traffic", 4, 3, {"shop": shop, "budget": 0.0}),
        Move("outreach", 4, 3, {"customers": everybody[:0]}),
    ]
    assert realised(world, nothing, 4).joint == 0
    moves = [
        Move("price", 5, 3, {"product": product, "off": share}),
        Move("coupon", 5, 3, {"customers": everybody, "face": 2.0, "threshold": 2.0, "shop": -1, "platform": share,
                              "brand": 0.0}),
    ]  # fmt: skip
    first = realised(world, moves, 1)
    assert first.joint == 0, "nothing happens before its cause"
    effect = realised(world, moves, 5)
    assert abs(effect.parties.sum() - effect.joint) < 1e-6
    spent = [sum(day.spent for day in world.fork().advance(5, each)) for each in ((), moves)]
    bought = [sum(day.advertising.sum() for day in world.fork().advance(5, each)) for each in ((), moves)]
    advertised = (bought[1] - bought[0]) * np.array([-1.0, 1.0, 0.0, 0.0])
    besides = spent[1] - spent[0]  # messages that the platform writes to others than before
    for unit in ("product", "shop", "customer"):
        besides += advertised if unit == "customer" else 0.0
        np.testing.assert_allclose(by_unit(world, moves, 5, unit).sum(axis=0), effect.parties - besides, atol=1e-6)
