"""The one list of wings: which business questions Tradewind answers, and where each answer is computed."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import math
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from threadpoolctl import threadpool_limits

from tradewind.engines.gaps import gaps_said
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, NotFoundError
from tradewind.measures.metrics import metric
from tradewind.money import amount
from tradewind.period import Period
from tradewind.study import Study

LOOKED = 182
"""Days before a period in which missing days are looked for: what most studies look back on."""


@dataclass(frozen=True)
class Wing:
    """One business question.

    Args:
        name: Its name on the command line, and of its module in `tradewind.decisions`.
        title: What the reader sees.
        question: The question, in the user's words.
        acts: Whether it proposes actions for the plan to pick from.
    """

    name: str
    title: str
    question: str
    acts: bool = False

    def load(self) -> Answerer:
        """Import the wing: late, since what it computes with takes a second to load."""
        module = importlib.import_module(f"tradewind.decisions.{self.name}")
        settings = "".join(word.capitalize() for word in self.name.split("_")) + "Settings"
        return Answerer(
            _alone(module.study), getattr(module, settings), tuple(module.NEEDS), dict(module.IMPROVED_BY),
            getattr(module, "require", None),
        )  # fmt: skip


def _alone(study: Callable[..., Study]) -> Callable[..., Study]:
    """Let matrices be computed in one thread: wings' are small, so that several would only wait for each other."""

    @functools.wraps(study)
    def answered(*given: Any, **named: Any) -> Study:
        with threadpool_limits(1):
            return study(*given, **named)

    return answered


@dataclass(frozen=True)
class Answerer:
    """What a wing's module offers.

    Args:
        study: Answers the question over a store and a period.
        settings: Frozen dataclass of its settings, every one with a default.
        needs: Canonical tables, and columns of them (`traffic.surface`), that it cannot do without.
        improved_by: What each further table would add, in a phrase.
        require: Refuses a store whose tables hold too little of what it needs, as the study does; None where it asks
            no more than its needs.
    """

    study: Callable[[Store, Period, Any], Study]
    settings: type[Any]
    needs: tuple[str, ...]
    improved_by: Mapping[str, str]
    require: Callable[[Store], None] | None = None


WINGS: dict[str, Wing] = {
    wing.name: wing
    for wing in (
        Wing("performance", "Performance", "How is the business doing?"),
        Wing("fluctuation", "Fluctuation", "Why did a metric move?"),
        Wing("prices", "Prices", "Which price, which campaign, which depth pays?", acts=True),
        Wing(
            "commissions", "Commissions", "Which commission for which product and creators, and who pays it?", acts=True
        ),
        Wing("coupons", "Coupons", "Which customer gets which coupon, under which budget?", acts=True),
    )
}


def wing(name: str) -> Wing:
    """Return the wing of that name.

    Raises:
        NotFoundError: If there is none.
    """
    if name not in WINGS:
        raise NotFoundError("There is no such study", got=name, allowed=sorted(WINGS))
    return WINGS[name]


def setting_fields(name: str) -> dict[str, tuple[Any, Any]]:
    """Return type and default of each setting of a wing, by name."""
    kind = wing(name).load().settings
    hints = typing.get_type_hints(kind)
    return {field.name: (hints[field.name], field.default) for field in dataclasses.fields(kind)}


def setting_words(name: str) -> dict[str, str]:
    """Return what each setting of a wing means, by name."""
    return described(wing(name).load().settings)


def described(settings: type[Any]) -> dict[str, str]:
    """Return the words of each setting: those of its docstring's Args."""
    doc = inspect.getdoc(settings) or ""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", doc, re.S | re.M)
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", section[1] if section else "", re.S | re.M)
    return {name: " ".join(words.split()) for name, words in entries}


def settings_read(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a wing's settings from words, each as its type is; what is left empty keeps its default.

    Raises:
        NotFoundError: If there is no such wing or metric.
        BadInputError: If a setting is not known or cannot be read.
    """
    known = setting_fields(name)
    kinds = dataclasses.fields(wing(name).load().settings)
    money = {field.name for field in kinds if field.metadata.get("unit") == "money"}
    found: dict[str, Any] = {}
    for key, text in given.items():
        if key not in known:
            raise BadInputError("The study has no such setting", got=key, allowed=known)
        kind = known[key][0]
        if not text.strip():
            continue
        if key in money:
            found[key] = amount(text)
            continue
        try:
            found[key] = _setting(kind, text.strip())
        except ValueError as error:
            raise BadInputError(f"The setting {key} cannot be read", got=text, allowed=_allowed(kind)) from error
        if key == "metric":
            metric(found[key])
        if key == "seed" and found[key] < 0:
            raise BadInputError("A seed is a whole number of 0 or more", got=text)
    return found


def _plain(kind: Any) -> Any:
    """Return the type of a setting, without the None that leaves it open."""
    options = [each for each in typing.get_args(kind) if each is not type(None)]
    return options[0] if options else kind


def _allowed(kind: Any) -> str:
    """Return in words what a setting of a type may be."""
    words = {bool: "true or false", int: "a whole number", float: "a number"}
    return words.get(_plain(kind), "text")


def _setting(kind: Any, text: str) -> Any:
    if typing.get_origin(kind) is tuple:
        return tuple(part for part in (each.strip() for each in text.split(",")) if part)
    plain = _plain(kind)
    if plain is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if plain is float and not math.isfinite(float(text)):
        raise ValueError(text)
    return plain(text)


def answer(name: str, store: Store, period: Period, settings: Mapping[str, Any] | None = None) -> Study:
    """Return a wing's answer.

    Args:
        name: Name of the wing.
        store: The store, as the caller may see it.
        period: The days in question.
        settings: Settings by name; the others keep their defaults.

    Raises:
        NotFoundError: If there is no such wing.
        MissingDataError: If the store lacks what the question needs.
    """
    answerer = wing(name).load()
    return answered(answerer, store, period, answerer.settings(**(settings or {})))


def answered(answerer: Answerer, store: Store, period: Period, settings: Any) -> Study:
    """Return what a wing answers, the days that its store probably lacks among the caveats."""
    found = answerer.study(store, period, settings)
    looked = Period(period.first - timedelta(days=LOOKED), period.last)
    return replace(found, caveats=(*gaps_said(store, looked), *found.caveats))
