from __future__ import annotations

import pytest

from tradewind.errors import BadInputError
from tradewind.measures.assume import Assumptions


def test_a_margin_is_read_and_said() -> None:
    assert Assumptions.parse(["margin=0.3"]) == Assumptions(margin=0.3)
    assert Assumptions.parse([" margin = 0.3"]).sentences() == (
        "Unit costs that the source lacks are assumed from a gross margin of 30% of the price.",
    )
    assert Assumptions.parse([]).sentences() == ()


@pytest.mark.parametrize(
    "setting", ["margin", "margin=", "margin=much", "cost=3", "", "margin=1", "margin=-0.1", "margin=nan"]
)
def test_what_cannot_be_assumed(setting: str) -> None:
    with pytest.raises(BadInputError) as raised:
        Assumptions.parse([setting])
    assert raised.value.allowed


def test_a_margin_given_twice_is_not_the_last_one() -> None:
    with pytest.raises(BadInputError, match="twice"):
        Assumptions.parse(["margin=0.3", "margin=0.2"])
