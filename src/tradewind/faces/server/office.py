"""Office: what all requests of a process share: the store as each caller sees it, the ledger, users and jobs."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tradewind import keeping
from tradewind.accounts import Accounts, Caller, Job, Jobs, open_accounts, open_jobs
from tradewind.accounts.verdicts import Verdicts, open_desk
from tradewind.decisions.fluctuation import Tree, explored, metrics_of
from tradewind.decisions.performance import BriefSettings, brief, prepare
from tradewind.decisions.plan import Point
from tradewind.decisions.plan.proof import Early
from tradewind.decisions.profiles import Index, Listing, index, listed, profile
from tradewind.engines import snapshot
from tradewind.engines.store import Store, open_store, split_address
from tradewind.errors import MissingDataError, NotFoundError, TradewindError
from tradewind.faces import planning, proving
from tradewind.faces.check import Check, check
from tradewind.faces.planning import Asked, Planned
from tradewind.faces.proposals import Proposals, read_proposals
from tradewind.faces.server.setup import Setup
from tradewind.faces.server.shelf import Shelf
from tradewind.ledger import Experiment, Launch, Ledger, open_ledger
from tradewind.measures.assume import Assumptions
from tradewind.measures.metrics import metric as named
from tradewind.period import Period
from tradewind.scope import OPERATOR, Scope
from tradewind.study import Action, Party, Study

SCOPES = 64
"""Callers' views of the store that a process keeps ready."""
FORMAT = 2
"""Of what is kept of answers: raised whenever they are to be computed anew."""


class Office:
    """What all requests of a process share.

    Args:
        setup: What the server was started with.
    """

    def __init__(self, setup: Setup):
        self.setup = setup
        self.work = Path(setup.work)
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.jobs: Jobs = open_jobs(self.work / "jobs.db")
        self._desk = open_desk(self.work / "desk.db")
        self.verdicts = Verdicts(self._desk)
        self.accounts: Accounts | None = open_accounts(setup.accounts) if setup.accounts else None
        self._folder = split_address(setup.store)[1]
        self._stores: Shelf[Store] = Shelf(SCOPES)
        self._answers: Shelf[Study] = Shelf(128)
        self._proposals: Shelf[Proposals] = Shelf(4)
        self._briefs: Shelf[Study] = Shelf(256)
        self._shops: Shelf[Mapping[str, str]] = Shelf(SCOPES)
        self._checks: Shelf[Check] = Shelf(16)
        self._readies: Shelf[planning.Ready] = Shelf(4)
        self._plans: Shelf[Planned] = Shelf(48)
        self._curves: Shelf[Sequence[Point]] = Shelf(16)
        self._subjects: Shelf[Mapping[str, str | None]] = Shelf(4)
        self._looks: Shelf[Early | str | None] = Shelf(128)
        self._launches: Shelf[Sequence[Launch]] = Shelf(SCOPES)
        self._listings: Shelf[Listing] = Shelf(64)
        self._profiles: Shelf[Study] = Shelf(128)
        self._indices: Shelf[Index] = Shelf(16)
        self._ledger: Ledger | None = None
        self._base: Store | None = None
        self._lock = threading.Lock()

    # The store

    def store(self, scope: Scope = OPERATOR) -> Store:
        """Return the current snapshot as a caller of this scope sees it; a request keeps the one that it got."""
        base = self._current()
        if scope == OPERATOR:
            return base
        return self._stores.get((base.manifest.name, scope), lambda: base.scoped(scope))

    def narrowed(self, store: Store, shop: str) -> Store:
        """Return a caller's store as one of its shops sees it; what the caller owns besides stays known to `peers`."""
        known = (store.manifest.name, store.scope, shop)
        return self._stores.get(known, lambda: store.scoped(Scope.of([shop])))

    def _current(self) -> Store:
        """Return the operator's view of the snapshot that is current now."""
        base = self._base
        if base is not None and (self._folder / "CURRENT").read_text().strip() == base.manifest.name:
            return base
        with self._lock:
            if self._base is None:
                opened = open_store(self.setup.store)
                self._base = opened.assuming(Assumptions.parse(self.setup.assume))
            elif (found := snapshot.existing(self._folder)).name != self._base.manifest.name:
                old = self._base
                self._base = Store(old.folder, old.engine, found, old.scope, old.assumptions)
            return self._base

    @property
    def today(self) -> date:
        """The day it is: the machine's in the store's timezone, or the one that simulated data was said to be at."""
        return self.setup.today or datetime.now(ZoneInfo(self.store().provenance.timezone)).date()

    # The ledger

    def ledger(self, scope: Scope = OPERATOR, *, create: bool = False) -> Ledger | None:
        """Return the ledger as a caller of this scope sees it, or None where nothing was ever launched."""
        with self._lock:
            if self._ledger is None:
                self._ledger = self._opened_ledger(create)
        return None if self._ledger is None else self._ledger.seen_by(scope)

    def _opened_ledger(self, create: bool) -> Ledger | None:
        address = self.setup.ledger
        if not create and "://" not in address and not Path(address).exists():
            return None
        try:
            day = self.setup.today
            return open_ledger(
                address, timezone=self.store_timezone, create=create, clock=day, simulated=day is not None
            )
        except NotFoundError:
            if create:
                raise
            return None  # a server's database in which no ledger was begun yet

    @cached_property
    def store_timezone(self) -> str:
        """The timezone of the store's days."""
        return snapshot.existing(self._folder).provenance.timezone

    # What jobs made

    def key(self, kind: str, asked: Mapping[str, Any], store: Store) -> str:
        """Return the name of what a job makes: the same for the same question over the same rows, seen alike.

        What a caller may see is part of the name, so that nobody finds an answer that was made of more.
        """
        scope = store.scope
        said = [
            FORMAT, kind, asked, store.manifest.name, store.manifest.created_at, str(store.assumptions),
            None if scope.shops is None else sorted(scope.shops),
            None if scope.creators is None else sorted(scope.creators),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def place(self, key: str) -> Path:
        """Return where what a job makes is kept: a file, or a folder for a plan's proposals."""
        return self.work / "answers" / key

    def answer(self, key: str) -> Study | None:
        """Return the study that a job made, or None where none has yet."""
        if not self.place(key).is_file():
            return None
        return self._answers.get(key, lambda: _study(self.place(key)))

    def proposals(self, key: str, store: Store) -> Proposals | None:
        """Return the proposals that a job made from a store as it is seen here, or None where none has yet."""
        if not self.place(key).is_dir():
            return None
        known = (key, store.manifest.name, store.scope)  # a look by any other store is refused when they are read
        return self._proposals.get(known, lambda: read_proposals(self.place(key), store))

    def solved(
        self, key: str, proposals: Proposals, asked: Asked, name: str, ledger: Ledger | None, without: Mapping[str, str]
    ) -> Planned:
        """Return the plan that is picked from the proposals of this key; the same is picked once."""
        known = (key, asked, name, tuple(sorted(without.items())), _head(ledger))
        return self._plans.get(
            known,
            lambda: planning.solved(
                proposals, asked, name, ledger, without, self._ready(key, proposals, asked, ledger)
            ),
        )

    def frontier(
        self, key: str, proposals: Proposals, asked: Asked, payer: Party, points: int, ledger: Ledger | None,
        without: Mapping[str, str],
    ) -> Sequence[Point]:  # fmt: skip
        """Return what plans would gain along the budget of one payer; the same is worked out once."""
        known = (key, asked, payer, points, tuple(sorted(without.items())), _head(ledger))
        return self._curves.get(
            known,
            lambda: planning.frontier(
                proposals, asked, payer, points, ledger, without, self._ready(key, proposals, asked, ledger)
            ),
        )

    def actions(self, key: str, proposals: Proposals, asked: Asked, ledger: Ledger | None) -> Sequence[Action]:
        """Return the actions that plans are picked from, with their menus."""
        return self._ready(key, proposals, asked, ledger).actions

    def _ready(self, key: str, proposals: Proposals, asked: Asked, ledger: Ledger | None) -> planning.Ready:
        """Return what plans are picked from, which budgets do not change."""
        known = (key, planning.footing(asked), _head(ledger))
        return self._readies.get(known, lambda: planning.ready(proposals, asked, ledger))

    def launches(self, ledger: Ledger | None) -> Sequence[Launch]:
        """Return what was launched, as far as a ledger shows it to its caller."""
        if ledger is None:
            return ()
        return self._launches.get((_head(ledger), ledger.scope), lambda: ledger.status().launches)

    def look(self, store: Store, ledger: Ledger, each: Experiment) -> Early | str | None:
        """Return what an experiment under way tells so far, see `proving.look`; a snapshot is looked at once a day."""
        known = (store.manifest.name, store.scope, each.id, ledger.today, _head(ledger))
        return self._looks.get(known, lambda: proving.look(store, ledger, each))

    def subjects(self, key: str, proposals: Proposals) -> Mapping[str, str | None]:
        """Return the shop of every action that was proposed, by key; None for the marketplace's."""
        return self._subjects.get(key, lambda: _shops_of(proposals))

    def asked(self, kind: str, title: str, asked: Mapping[str, Any], caller: Caller, store: Store) -> Job:
        """Ask for a job in a caller's name.

        Raises:
            BusyError: If the caller has too many waiting already.
        """
        return self.jobs.ask(self.key(kind, asked, store), kind, title, asked, caller)

    def brief(self, store: Store, period: Period, against: str, shop: str) -> Study:
        """Return what Today says of a period, from sums that a process keeps ready.

        Raises:
            NotFoundError: If there is no such shop, or the caller may not see it.
        """
        asked = (store.manifest.name, store.scope, period, against, shop)
        return self._briefs.get(asked, lambda: brief(store, period, BriefSettings(against, shop)))

    def tree(self, store: Store, metric: str, period: Period, against: str, shop: str = "") -> Tree | None:
        """Return the change of a metric taken apart; None where there is nothing to compare with.

        Args:
            store: The store as the caller sees it, not narrowed to the shop: its sums are kept ready.
            metric: Name of the metric.
            period: The days in question.
            against: What they are compared with; what was expected has no parts, so that the period before stands in.
            shop: Only this one of the caller's shops.
        """
        known, panel = named(metric), store.panel(metrics_of(store), ("shop_id",))
        seen = period.clipped(store.span) or period
        base = (period.last_year if against == "last-year" else period.previous).starting(seen.days)
        return explored(store, panel.of("shop_id", shop) if shop else panel, known, seen, base)

    def shops(self, store: Store) -> Mapping[str, str]:
        """Return the names of the shops that a caller sees, by id; an id stands for a shop without a name."""
        return self._shops.get((store.manifest.name, store.scope), lambda: _shops(store))

    def check(self, store: Store) -> Check:
        """Return what is in the store and what it can answer."""
        return self._checks.get((store.manifest.name, store.scope), lambda: check(store))

    def listed(
        self, store: Store, kind: str, period: Period, query: str, order: str, limit: int, offset: int
    ) -> Listing:
        """Return a page of what there is of a kind."""
        known = (store.manifest.name, store.scope, kind, period, query, order, limit, offset)
        return self._listings.get(known, lambda: listed(store, kind, period, query, order, limit, offset))

    def profile(self, store: Store, kind: str, id_: str, period: Period) -> Study:
        """Return what there is to say of a shop, product, creator, segment or session.

        Raises:
            NotFoundError: If there is none of that id, or the caller may not see it; it is not told which.
        """
        known = (store.manifest.name, store.scope, kind, id_, period)
        return self._profiles.get(known, lambda: profile(store, kind, id_, period))

    def index(self, store: Store) -> Index:
        """Return the search index of a caller."""
        return self._indices.get((store.manifest.name, store.scope), lambda: index(store))

    def ready(self) -> None:
        """Make what the first reader would wait for."""
        store = self.store()
        prepare(store)
        store.panel(metrics_of(store), ("shop_id",))
        self.index(store)

    def users(self) -> Accounts:
        """Return the register of users.

        Raises:
            MissingDataError: If the server has none.
        """
        if self.accounts is None:
            raise MissingDataError(
                "This server has no users: whoever sits at this machine sees all", do="start it with --accounts"
            )
        return self.accounts

    def outward(self, error: TradewindError) -> TradewindError:
        """Return an error as it is told to others than this machine: where things lie on it is not their business."""
        if self.setup.open:
            return error
        told = copy.copy(error)
        places = {str(Path(text).absolute()) for text in (self.setup.work, str(self._folder))}
        places |= {text for text in (self.setup.store, self.setup.ledger, self.setup.accounts) if os.sep in text}
        for place in sorted(places, key=len, reverse=True):
            for name in ("what", "got", "allowed", "do"):
                if (value := getattr(told, name)) is not None and place in str(value):
                    setattr(told, name, str(value).replace(place, "the server"))
        return told

    def close(self) -> None:
        """Let go of every database."""
        for each in (self.jobs, self._desk, self.accounts, self._ledger):
            if each is not None:
                each.close()


def _study(place: Path) -> Study:
    found = keeping.read(place.read_text(encoding="utf-8"))
    if not isinstance(found, Study):
        raise MissingDataError("What was kept is no study", do="ask again")
    return found


def _shops(store: Store) -> Mapping[str, str]:
    if store.has("shops"):
        rows = store.table("shops")
        name = rows.name if store.has("shops", "name") else rows.shop_id
        found = store.run(rows.select("shop_id", name=name).order_by("shop_id"))
    else:
        rows = store.table("order_lines").select("shop_id").distinct()
        found = store.run(rows.mutate(name=rows.shop_id).order_by("shop_id"))
    ids, names = found["shop_id"].to_pylist(), found["name"].to_pylist()
    return {id_: name or id_ for id_, name in zip(ids, names, strict=True)}


def _head(ledger: Ledger | None) -> str:
    """Return what all that was proven hangs on."""
    return "" if ledger is None else str(ledger.head())


def _shops_of(proposals: Proposals) -> Mapping[str, str | None]:
    answers = [answer.study for answer in proposals.answers if answer.study is not None]
    return {action.key: action.subject.shop for study in answers for action in study.actions}
