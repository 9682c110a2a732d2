"""A plan kept in a folder is the plan that was made; what is not a plan is said to be none."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from wares import M, P, clashing, many

import market
from tradewind.decisions.plan import HEAD, Planner, check_folder, read_plan, write_plan
from tradewind.decisions.plan import folder as folders
from tradewind.errors import BadInputError, NotFoundError
from tradewind.study import Plan

STEPS = {"os.rename", "os.rmdir", "os.remove", "shutil.rmtree", "os.mkdir", "ctypes.dlsym"}
"""What Python tells of before it does it: steps at which a process may be killed."""


@pytest.fixture
def plan() -> Plan:
    return Planner()("spring", many(2), {M: 100.0, P: 30.0})


def test_what_is_read_is_what_was_written(tmp_path: Path, plan: Plan) -> None:
    actions = many(2)
    files = write_plan(plan, market.PROVENANCE, tmp_path / "a" / "plan", actions)
    assert all(file.exists() for file in files)
    kept = read_plan(tmp_path / "a" / "plan")
    assert kept.choices == plan.choices
    assert (kept.name, kept.currency, kept.simulated) == ("spring", "BRL", True)
    ranked = pq.read_table(files[1])
    assert ranked["action"].to_pylist() == [choice.action.key for choice in plan.choices]
    assert ranked["joint_mid"].to_pylist() == sorted(ranked["joint_mid"].to_pylist(), reverse=True)
    menus = pq.read_table(files[2])
    assert menus.num_rows == sum(len(action.menu) for action in actions)
    assert sum(menus["chosen"].to_pylist()) == len(plan.choices)


def test_some_of_a_plan_promise_what_a_plan_of_them_alone_would(tmp_path: Path) -> None:
    same = 0
    for seed in range(12):
        actions, sales = clashing(seed)
        budgets, raw = {M: 900.0, P: 50.0}, {action.key: action for action in actions}
        whole = Planner()("x", actions, budgets, (), sales, raw)
        folder = tmp_path / str(seed)
        write_plan(whole, market.PROVENANCE, folder)
        kept = read_plan(folder)
        for out in whole.choices:
            keys = {choice.action.key for choice in whole.choices} - {out.action.key}
            some = [action for action in actions if action.key in keys]
            alone = Planner()("x", some, budgets, (), sales, raw)
            if {c.action.key: c.place for c in alone.choices} != {
                c.action.key: c.place for c in whole.choices if c.action.key in keys
            }:
                continue  # without the one that is left out the others do better otherwise
            part, same = kept.only(keys), same + bool(alone.interplay or kept.interplay)
            assert part.interplay == pytest.approx(dict(alone.interplay))
            found = {choice.action.key: choice.setting for choice in part.choices}
            for choice in alone.choices:
                for promise in (found[choice.action.key], part.raw[choice.action.key]):
                    asked = choice.setting
                    assert promise.joint.mid == pytest.approx(asked.joint.mid, abs=1e-9)
                    assert promise.joint.low == pytest.approx(asked.joint.low, abs=1e-9)
                    assert {p: g.mid for p, g in promise.gain.items()} == pytest.approx(
                        {p: g.mid for p, g in asked.gain.items()}, abs=1e-9
                    )
    assert same > 20


def test_a_folder_that_does_not_say_what_meets_keeps_its_promises(tmp_path: Path) -> None:
    actions, sales = clashing(0)
    whole = Planner()("x", actions, {M: 900.0, P: 50.0}, (), sales)
    assert whole.interplay
    write_plan(whole, market.PROVENANCE, tmp_path / "plan")
    assert not read_plan(tmp_path / "plan").fixed
    file = tmp_path / "plan" / "plan.json"
    said = json.loads(file.read_text())
    del said["sales"]
    file.write_text(json.dumps(said))
    kept = read_plan(tmp_path / "plan")
    assert kept.fixed
    assert kept.only({whole.choices[0].action.key}).choices == whole.choices[:1]


def test_a_plan_replaces_a_plan_and_nothing_else(tmp_path: Path, plan: Plan) -> None:
    folder = tmp_path / "plan"
    write_plan(plan, market.PROVENANCE, folder)
    (folder / "notes.txt").write_text("mine")
    write_plan(Planner()("second", [], {M: 1.0}), market.PROVENANCE, folder)
    assert read_plan(folder).name == "second"
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan"]
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.txt").write_text("meow")
    with pytest.raises(BadInputError, match="something else"):
        write_plan(plan, market.PROVENANCE, other)
    assert [path.name for path in other.iterdir()] == ["cat.txt"]


def test_where_a_plan_cannot_be_put_in_its_place_all_stays_as_it_was(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plan"
    write_plan(plan, market.PROVENANCE, folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "more").mkdir()
    (folder / "more" / "page.html").write_text("mine too")
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if "-new-" in self.name:
            raise OSError("the disk is full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    monkeypatch.setattr(folders, "_swapped", lambda *_: False)
    with pytest.raises(OSError, match="full"):
        write_plan(Planner()("second", [], {M: 1.0}), market.PROVENANCE, folder)
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]
    monkeypatch.undo()
    write_plan(Planner()("second", [], {M: 1.0}), market.PROVENANCE, folder)
    assert (folder / "more" / "page.html").read_text() == "mine too"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux swaps two folders in one step")
def test_whenever_it_is_killed_a_whole_plan_stands(tmp_path: Path, plan: Plan) -> None:
    folder = tmp_path / "plan"
    write_plan(plan, market.PROVENANCE, folder)
    second, at, code = Planner()("second", [], {M: 1.0}), 0, -1
    while code != 0:
        at += 1
        if not (process := os.fork()):
            steps = itertools.count(1)

            def step(event: str, _: object, steps: Iterator[int] = steps, at: int = at) -> None:
                if event in STEPS and next(steps) == at:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(step)
            write_plan(second, market.PROVENANCE, folder)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert code in {0, -signal.SIGKILL}
        assert read_plan(folder).name in {"spring", "second"}
    assert at > 3
    assert read_plan(folder).name == "second"


def test_a_plan_that_was_launched_meanwhile_is_not_written_over(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = tmp_path / "plan", pq.write_table
    write_plan(plan, market.PROVENANCE, folder)

    def launched(*given: object) -> None:
        (folder / HEAD).write_text("{}")
        write(*given)

    monkeypatch.setattr(pq, "write_table", launched)
    with pytest.raises(BadInputError, match="was launched"):
        write_plan(Planner()("second", [], {M: 1.0}), market.PROVENANCE, folder)
    assert read_plan(folder).name == "spring"
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_where_no_plan_can_be_written_is_said_before_one_is_made(tmp_path: Path, plan: Plan) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInputError, match="something else"):
        check_folder(tmp_path / "file")
    with pytest.raises(BadInputError, match="can be written"):
        check_folder(tmp_path / "file" / "plan")
    check_folder(tmp_path / "new" / "plan")
    write_plan(plan, market.PROVENANCE, tmp_path / "plan")
    check_folder(tmp_path / "plan")
    (tmp_path / "plan" / HEAD).write_text("{}")
    with pytest.raises(BadInputError, match="was launched"):
        check_folder(tmp_path / "plan")
    assert not (tmp_path / "new").exists()


def test_what_is_no_plan_is_said_to_be_none(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(NotFoundError, match="no plan"):
        read_plan(tmp_path)
    folder = tmp_path / "plan"
    write_plan(plan, market.PROVENANCE, folder)
    file = folder / "plan.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "format": 99}))
    with pytest.raises(BadInputError, match="another format"):
        read_plan(folder)
    outside = [{**each, "place": "99"} for each in said["choices"]]
    for edited in ({"timezone": "Nowhere/Bad"}, {"choices": outside}):
        file.write_text(json.dumps({**said, **edited}))
        with pytest.raises(BadInputError, match="cannot be read"):
            read_plan(folder)
    file.write_text("{")
    with pytest.raises(BadInputError, match="cannot be read"):
        read_plan(folder)
