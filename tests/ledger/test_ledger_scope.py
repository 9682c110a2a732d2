"""A caller sees the launches of their own shops, and not even that there are others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deeds import APPROVAL, Clock, coupon, customers, price, prices, promise, reading

from tradewind.errors import ConflictError, ForbiddenError, NotFoundError, TradewindError
from tradewind.ledger import Ledger, State, Terms
from tradewind.scope import OPERATOR, Scope

SECRETS = ("s2", "secret", "Zoe", "999")


@pytest.fixture
def mixed(ledger: Ledger, clock: Clock) -> dict[str, str]:
    """A ledger of two shops and the marketplace; ids of experiments and launches of shop s2 and of both."""
    own = [promise(coupon("mine", customers(0, 40), "s1"))]
    other = [promise(coupon("secret", customers(0, 40), "s2"))]
    both = [*prices(3, "s1"), *prices(3, "s2", first=100)]
    found = {}
    for plan, promises in (("own", own), ("secret plan", other), ("secret both", both)):
        receipt = ledger.launch(plan, promises, APPROVAL, "Zoe")
        found[plan] = receipt.experiments[0].id
        found[f"{plan} launch"] = receipt.experiments[0].launches[-1].id
    everywhere = [promise(coupon("secret everywhere", customers(0, 40), None))]
    found["everywhere"] = ledger.launch("secret everywhere", everywhere, APPROVAL, "Zoe").experiments[0].id
    clock.on(date(2025, 3, 25))
    for plan in ("own", "secret plan", "secret both"):
        of = ledger.experiment(found[plan])
        ledger.read(reading(of, 999.0 if plan != "own" else 4.0), "Zoe")
    return found


def test_a_merchant_sees_their_own_launches_only(ledger: Ledger, mixed: dict[str, str], tmp_path: Path) -> None:
    merchant = ledger.seen_by(Scope.of(["s1"]))
    status = merchant.status()
    assert [each.name for each in status.experiments] == ["mine"]
    assert [each.state(status.today) for each in status.experiments] == [State.READ]
    # of the group that reaches beyond their shop they see their own actions, not the group
    assert {each.subject.shop for each in status.launches} == {"s1"}
    assert len(status.launches) == 1 + 3
    assert [pair.experiment for pair in merchant.track().pairs] == [mixed["own"]]
    merchant.export(tmp_path / "mine.csv")
    assert "s2" not in (tmp_path / "mine.csv").read_text()
    # a number of all entries would tell how much others launch
    assert merchant.head().count is None
    assert merchant.verify([merchant.head(), ledger.head()]).sound
    assert merchant.verify().count is None
    for scope in (Scope.of([]), Scope.of_creators(["k1"])):
        nobody = ledger.seen_by(scope)
        assert (nobody.status().experiments, nobody.status().launches) == ((), ())
    everybody = ledger.seen_by(Scope.of(["s1", "s2"]))
    assert len(everybody.status().experiments) == 3  # all but the marketplace's own


DEEDS: dict[str, Callable[[Ledger, dict[str, str]], Any]] = {
    "read the other's experiment": lambda m, ids: m.experiment(ids["secret plan"]),
    "read a group beyond the shop": lambda m, ids: m.experiment(ids["secret both"]),
    "read the marketplace's": lambda m, ids: m.experiment(ids["everywhere"]),
    "see whom the other reaches": lambda m, ids: m.arms(ids["secret plan"]),
    "see who takes from the other": lambda m, ids: m.crossings(ids["secret plan"]),
    "stop the other's": lambda m, ids: m.stop(ids["secret plan launch"], "Mo", "spite"),
    "launch for the other": lambda m, ids: m.launch("x", [promise(price("a", "p1", "s2"), 0.0)], APPROVAL, "Mo"),
    "launch for all": lambda m, ids: m.launch("x", [promise(price("a", "p1", None), 0.0)], APPROVAL, "Mo"),
    "widen": lambda m, ids: m.seen_by(OPERATOR),
    "widen to the other": lambda m, ids: m.seen_by(Scope.of(["s1", "s2"])),
    "copy": lambda m, ids: m.copy("elsewhere.db"),
}


def test_what_is_not_theirs_is_refused_and_tells_nothing(ledger: Ledger, mixed: dict[str, str]) -> None:
    merchant, before = ledger.seen_by(Scope.of(["s1"])), ledger.head()
    for name, deed in DEEDS.items():
        with pytest.raises((ForbiddenError, NotFoundError)) as raised:
            deed(merchant, mixed)
        assert not [secret for secret in SECRETS if secret in str(raised.value)], name
    assert ledger.head() == before


def test_an_id_of_anothers_and_one_of_nobodys_sound_alike(ledger: Ledger, mixed: dict[str, str]) -> None:
    merchant = ledger.seen_by(Scope.of(["s1"]))

    def said(deed: Callable[[str], Any], id_: str) -> str:
        with pytest.raises(TradewindError) as raised:
            deed(id_)
        return str(raised.value).replace(id_, "ID")

    for deed, known in ((merchant.experiment, mixed["secret plan"]), (merchant.arms, mixed["secret plan"])):
        assert said(deed, known) == said(deed, "0" * 16)


def test_another_shops_launches_neither_stand_in_the_way_nor_show(ledger: Ledger, mixed: dict[str, str]) -> None:
    merchant = ledger.seen_by(Scope.of(["s3"]))
    terms = Terms(late=True, echo=1)
    days = price("x", "p").days.__class__(date(2025, 3, 25), date(2025, 3, 27))
    # the same plan, keys and customers as another shop's
    receipt = merchant.launch(
        "secret plan", [promise(coupon("secret", customers(0, 40), "s3", days))], APPROVAL, "Mo", terms
    )
    assert receipt.head.count is None
    with pytest.raises(ConflictError) as raised:
        merchant.launch("next", [promise(coupon("k", customers(0, 40), "s3", days))], APPROVAL, "Mo", terms)
    assert raised.value.got == "secret plan/secret"  # their own


def test_a_merchant_is_told_that_the_ledger_was_forged_but_not_where(
    ledger: Ledger, mixed: dict[str, str], place: Any
) -> None:
    place.tamper("UPDATE launches SET plan = 'secret' WHERE shop = 's2'")
    verdict = ledger.seen_by(Scope.of(["s1"])).verify()
    assert (verdict.sound, verdict.entry, verdict.count) == (False, None, None)
    assert not [secret for secret in SECRETS if secret in verdict.what]
    assert ledger.verify().entry is not None
