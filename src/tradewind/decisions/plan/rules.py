"""Budgets and rules as people write them: `platform=50000`, `coupon<=20%`, `shop actions>=1`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from tradewind.errors import BadInputError
from tradewind.money import amount
from tradewind.study import Lever, Party, Rule

_BUDGET = re.compile(r"^\s*(?P<payer>\w+)\s*=\s*(?P<amount>[-+\d.,_eE]+[kKmM]?)\s*(?P<currency>[A-Za-z]{3})?\s*$")
_RULE = re.compile(
    r"^\s*(?P<of>[a-z]+)(?:=(?P<id>[^<>\s]+))?(?P<counts>\s+actions)?\s*(?P<sign><=|>=)\s*"
    r"(?P<number>\d[\d.,_]*[kKmM]?)\s*(?P<share>%)?\s*$"
)
SUBJECTS = ("shop", "product")
PAYERS_GAIN, ALL_GAIN = "payers gain", "all gain"
WORDS = (PAYERS_GAIN, ALL_GAIN)
"""Rules in words: no setting at which a payer, or anybody, is expected to lose."""


def budgets(given: Iterable[str], currency: str) -> dict[Party, float]:
    """Read budgets: `platform=50000`, or `platform=50000EUR` to be sure of the currency.

    Args:
        given: Budgets as written, one of each payer.
        currency: ISO 4217 code of the store.

    Raises:
        BadInputError: If a payer is not known or named twice, an amount is negative or no number, the currency is
            another one, or nothing was given.
    """
    found: dict[Party, float] = {}
    for text in given:
        read = _BUDGET.match(text)
        if not read:
            raise BadInputError("A budget cannot be read", got=text, allowed="PAYER=AMOUNT, such as platform=50000")
        if read["payer"] not in set(Party):
            raise BadInputError("There is no such payer", got=read["payer"], allowed=[str(party) for party in Party])
        if read["currency"] and read["currency"].upper() != currency:
            raise BadInputError(
                "The store is in another currency", got=text, allowed=currency, do="convert the budget, or leave it out"
            )
        limit = amount(read["amount"])
        payer = Party(read["payer"])
        if payer in found:
            raise BadInputError(f"The {payer} is given two budgets", got=text, do="give each payer one budget")
        found[payer] = limit
    if not found:
        raise BadInputError("A plan needs a budget", allowed="such as --budget platform=50000")
    return found


def rules(given: Iterable[str]) -> tuple[Rule, ...]:
    """Read rules, see `docs/plan.md`.

    Args:
        given: Rules as written: `coupon<=20%`, `shop<=2000`, `shop=S1 actions<=3`, `price actions<=50`, `payers gain`.

    Raises:
        BadInputError: If one cannot be read.
    """
    found = []
    for text in given:
        words = " ".join(text.split())
        if words in WORDS:
            found.append(Rule(words, words))
            continue
        read = _RULE.match(words)
        if not read or read["of"] not in (*Lever, *SUBJECTS) or (read["id"] and read["of"] not in SUBJECTS):
            raise BadInputError(
                "A rule cannot be read", got=text,
                allowed=(f"{', '.join(Lever)}, shop, shop=ID, product, product=ID, each with `<=` or `>=` and money or "
                         f"% of all budgets, or `actions<=` and a number; or the words {', '.join(WORDS)}"),
                do="write it such as coupon<=20% or shop actions<=3, in quotation marks",
            )  # fmt: skip
        number = amount(read["number"])
        if read["share"] and read["counts"]:
            raise BadInputError("A share is of money, not of actions", got=text, do="give a number of actions")
        number = number / 100 if read["share"] else number
        if read["share"] and number > 1:
            raise BadInputError("No more than all of the budgets can be a limit", got=text, allowed="up to 100%")
        most, least = (number, 0.0) if read["sign"] == "<=" else (math.inf, number)
        counts = "actions" if read["counts"] else "spend"
        found.append(Rule(words, read["of"], read["id"] or "", counts, most, least, bool(read["share"])))
    return tuple(found)
