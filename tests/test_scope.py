from __future__ import annotations

import pytest

from tradewind.errors import ForbiddenError
from tradewind.scope import OPERATOR, Scope


def test_an_operator_sees_everything() -> None:
    assert OPERATOR.everything
    assert OPERATOR.narrowed(["a"]) == Scope.of(["a"])


def test_a_scope_without_shops_is_not_an_operators() -> None:
    assert not Scope.of([]).everything


def test_a_scope_narrows() -> None:
    assert Scope.of(["a", "b"]).narrowed(["b"]).shops == {"b"}


@pytest.mark.parametrize("wanted", [["c"], ["a", "c"]])
def test_a_scope_never_widens_and_tells_nothing(wanted: list[str]) -> None:
    with pytest.raises(ForbiddenError) as raised:
        Scope.of(["a", "b"]).narrowed(wanted)
    assert raised.value.status == 403
    assert "'" not in str(raised.value)
    assert raised.value.got is None
