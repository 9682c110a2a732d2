"""What an action does, in words for whoever carries it out."""

from __future__ import annotations

from collections.abc import Mapping

from tradewind.money import human
from tradewind.study import Action, Choice, Lever, Setting, Subject

Names = Mapping[str, Mapping[str, str]]
"""Titles by kind (`product`, `shop`, `creator`) and id: ids of two kinds may be the same."""


def deed(choice: Choice, currency: str, names: Names) -> str:
    """Return what to do: `20% off Silk scarf (S12)`.

    Args:
        choice: What was picked.
        currency: ISO 4217 code.
        names: Titles of products, shops and creators.
    """
    action = choice.action
    return worded(choice.setting, action.lever, action.subject, _reached(action), currency, names)


def worded(setting: Setting, lever: Lever, subject: Subject, customers: int | None, currency: str, names: Names) -> str:
    """Return the same of a setting on a subject: where that is customers, of so many."""
    return f"{dose(setting, lever, currency)} {_where(subject, customers, names)}"


def thing(choice: Choice, currency: str, names: Names) -> str:
    """Return the same with what it is done to first: `Silk scarf (S12): 20% off`, to be told apart where cut short."""
    said = dose(choice.setting, choice.action.lever, currency).rstrip(",")
    for last in (" for", " on", " of", " to"):
        said = said.removesuffix(last)
    return f"{_where(choice.action.subject, _reached(choice.action), names)}: {said.rstrip(',')}"


def dose(setting: Setting, lever: Lever, currency: str) -> str:
    """Return a setting in words."""
    given = setting.dose

    def money(name: str) -> str:
        value = given.get(name, 0.0)
        return human(int(value) if value == int(value) else value, "money", currency).replace(".00", "")

    match lever:
        case Lever.COUPON:
            threshold = f" from {money('threshold')}" if given.get("threshold") else ""
            return f"coupon of {money('face')}{threshold}{_funded(given, 'merchant')} for"
        case Lever.COMMISSION | Lever.CREATOR:
            return f"commission of {_share(given.get('rate', 0.0))}{_funded(given, 'merchant')} on"
        case Lever.PRICE:
            off = given.get("off", 0.0)
            dearer = f"{_share(-off)} above the list price for"
            return f"{_share(off)} off" if off > 0 else "full price for" if off == 0 else dearer
        case Lever.TRAFFIC:
            return f"{money('budget')} of traffic a day for"
        case Lever.LISTING:
            return "a new listing of"
        case Lever.OUTREACH:
            return "a message to"
        case Lever.ASSORTMENT:
            return "list" if given.get("list") else "take off"
        case _:
            return f"{lever} on"


def _funded(given: Mapping[str, float], else_by: str) -> str:
    platform = given.get("platform", 0.0)
    if platform >= 1:
        return ", paid by the platform,"
    if platform > 0:
        return f", {_share(platform)} of it paid by the platform,"
    return f", paid by the {else_by},"


def _share(value: float) -> str:
    return human(round(value, 4), "share").replace(".00%", "%").replace(".0%", "%")


def _reached(action: Action) -> int | None:
    return None if action.assignment is None else len(action.assignment.units)


def _where(subject: Subject, customers: int | None, names: Names) -> str:
    if customers is not None:
        where = f"{customers:,} customers ({subject.id})"
    else:
        name = names.get(subject.kind, {}).get(subject.id)
        where = f"{name} ({subject.id})" if name else f"{subject.kind} {subject.id}"
    if subject.partner:
        where += f" with {names.get('creator', {}).get(subject.partner, subject.partner)}"
    return where
