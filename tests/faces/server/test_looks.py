"""An experiment under way: its page and the API tell what it gained so far, and what to make of it."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from desks import served

from tradewind.decisions.plan.proof import Early
from tradewind.engines.store import Store
from tradewind.ledger import Approval, Promise, Terms, open_ledger
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.study import Action, Assignment, Choice, Estimate, Evidence, Lever, Party, Setting, Subject


def test_an_experiment_under_way_tells_what_it_gained_so_far(
    market_store: Store, market_folder: Path, tmp_path: Path
) -> None:
    last = market_store.span.last
    days = Period(last - timedelta(days=5), last + timedelta(days=8))
    people = market_store.run(market_store.table("customers").select("customer_id"))["customer_id"].to_pylist()
    gain = Estimate(20.0, 10.0, 30.0)
    setting = Setting({"face": 2.0, "threshold": 0.0}, {Party.PLATFORM: 50.0}, {Party.MERCHANT: gain}, gain)

    def coupon(name: str, who: list[str]) -> Promise:
        assignment = Assignment(name, tuple(sorted(who)))
        subject = Subject("customers", name, None)
        why = "why"
        action = Action(
            name, Lever.COUPON, subject, days, (setting,), Evidence.OBSERVATIONAL, why, assignment=assignment
        )
        return Promise(Choice(action, 0), 0.4)

    def eve(day: int) -> datetime:
        return datetime.combine(last - timedelta(days=day), time(12), UTC)

    supposed = market_store.assuming(Assumptions(margin=0.4)).provenance.assumptions  # some products have no cost
    promises = [coupon("many", people[:-4]), coupon("few", people[-4:])]
    ledger = open_ledger(
        tmp_path / "ledger.db", timezone=market_store.provenance.timezone, clock=(last - timedelta(days=6)),
        simulated=True,
    )  # fmt: skip
    ledger.launch("p", promises, Approval("Ann", eve(6)), "Bob", Terms(echo=3, assumptions=supposed))
    ids = {each.name: each.id for each in ledger.status().experiments}
    ledger.close()
    many, few = (next(id_ for name, id_ in ids.items() if word in name) for word in ("many", "few"))
    with served(market_folder, tmp_path, today=last, assume=("margin=0.4",)) as server:
        told = server.client.get(f"/api/v1/ledger/{many}").json()
        look = told["look"]
        assert told["state"] == "running"
        assert (look["days"]["first"], look["days"]["last"]) == (str(days.first), str(last))
        assert look["joint"]["low"] < look["joint"]["mid"] < look["joint"]["high"]
        heads = re.findall(r"<th scope=\"col\"[^>]*>([^<]*)", server.client.get("/ledger").text)
        assert heads[:4] == ["Experiment", "State", "Promised", "Proven"]  # the whole fits a small screen
        assert "first" in server.client.get("/ledger?csv=experiments").text.splitlines()[0]
        page = server.client.get(f"/ledger/{many}").text
        assert "So far, 6 of 17 days" in page
        treated = told["experiment"]["units"]["treated"]
        assert f"paid by the merchant, for {treated} customers (many)" in page
        assert "holds however often you look" in page
        assert isinstance(server.client.get(f"/api/v1/ledger/{few}").json()["look"], str)
        assert "Nothing is told so far" in server.client.get(f"/ledger/{few}").text
        harm = Early(days, days, Estimate(-5.0, -8.0, -1.0))
        server.office.look = lambda *_: harm  # type: ignore[method-assign]
        assert "It does harm so far" in server.client.get(f"/ledger/{many}").text


def test_a_ledger_that_was_changed_by_hand_says_so_on_its_page(
    market_store: Store, market_folder: Path, tmp_path: Path
) -> None:
    last = market_store.span.last
    days = Period(last + timedelta(days=2), last + timedelta(days=8))
    gain = Estimate(20.0, 10.0, 30.0)
    menu = (Setting({"off": 0.1}, {Party.MERCHANT: 5.0}, {Party.MERCHANT: gain}, gain),)
    action = Action("p1", Lever.PRICE, Subject("product", "p1", "shop-02"), days, menu, Evidence.OBSERVATIONAL, "why")
    ledger = open_ledger(tmp_path / "ledger.db", timezone="America/Sao_Paulo", clock=last, simulated=True)
    ledger.launch("p", [Promise(Choice(action, 0), 0.0)], Approval("Ann", datetime.combine(last, time(1), UTC)), "Bob")
    [id_] = [each.id for each in ledger.status().experiments]
    ledger.close()

    def changed(number: int) -> None:
        file = sqlite3.connect(tmp_path / "ledger.db")
        with file:
            for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                file.execute(f"DROP TRIGGER {name}")
            file.execute("UPDATE entries SET who = 'Eve' WHERE number = ?", (number,))
        file.close()

    for number, said in ((3, "Entry 3 was changed after it was written"), (1, "does not fit the ledger")):
        changed(number)
        with served(market_folder, tmp_path, today=last, users=number == 3) as server:
            browser = server.sign_in("olga") if number == 3 else server.client
            answer = browser.get("/ledger")
            assert answer.status_code == 200
            assert "history was changed" in answer.text
            assert "The ledger is not what was written into it" in answer.text
            assert said in answer.text
            assert "This is our fault" not in answer.text
            other = browser.get(f"/ledger/{id_}")
            assert (other.status_code, "The ledger was changed" in other.text) == (500, True)
            if number == 3:
                theirs = server.sign_in("mara").get("/ledger").text
                assert "Tell the people who run Tradewind" in theirs
                assert "Entry 3" not in theirs
