from __future__ import annotations

import json
from datetime import date

import pytest

from tradewind import errors
from tradewind.errors import BadInputError, TradewindError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TradewindError)]


@pytest.mark.parametrize("kind", KINDS)
def test_one_shape_for_every_error(kind: type[TradewindError]) -> None:
    error = kind("The day is odd", got=date(2017, 6, 1), allowed=[1, 2], do="take another")
    body = json.loads(json.dumps(error.as_dict()))
    assert body == {
        "error": {
            "code": kind.code,
            "what": "The day is odd",
            "got": "2017-06-01",
            "allowed": "1, 2",
            "do": "take another",
        }
    }
    assert 400 <= kind.status < 600


def test_kinds_are_told_apart_by_code() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS) >= 8


def test_what_is_not_said_is_null() -> None:
    body = BadInputError("No").as_dict()["error"]
    assert body == {"code": "bad_input", "what": "No", "got": None, "allowed": None, "do": None}


def test_the_message_says_what_got_allowed_and_what_to_do() -> None:
    error = BadInputError("The level is wrong", got=0, allowed=("low", "high"), do="pick one")
    assert str(error) == "The level is wrong. Got: 0. Allowed: low, high. What to do: pick one."
    assert str(BadInputError("No")) == "No."
    assert str(BadInputError("No", got=(1000, 0.5))) == "No. Got: 1000, 0.5."
    assert str(BadInputError("No", got=((3, 2), (4,)))) == "No. Got: 3 × 2, 4."
