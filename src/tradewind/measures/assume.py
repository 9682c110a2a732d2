"""Assumptions: what a caller supposes where the source says nothing; labelled wherever a number rests on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tradewind.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a caller supposes.

    Args:
        margin: Gross margin as a share of the unit price, for lines without a unit cost: the cost is then
            unit price × (1 − margin).

    Raises:
        BadInputError: If the margin is not a share.
    """

    margin: float | None = None

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 <= self.margin < 1:
            raise BadInputError(
                "A margin is a share of the price", got=self.margin, allowed="from 0 to below 1, such as 0.3"
            )

    def sentences(self) -> tuple[str, ...]:
        """Return each assumption as a sentence."""
        if self.margin is None:
            return ()
        return (f"Unit costs that the source lacks are assumed from a gross margin of {self.margin:.0%} of the price.",)

    @classmethod
    def parse(cls, settings: Iterable[str]) -> Assumptions:
        """Read assumptions as written on a command line: `margin=0.3`.

        Raises:
            BadInputError: If a name is not known or given twice, or a value is not a number.
        """
        values: dict[str, float] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            if name.strip() != "margin":
                raise BadInputError("There is nothing of that name to assume", got=setting, allowed="margin=0.3")
            if "margin" in values:
                raise BadInputError("The margin is given twice", got=setting, do="give one, such as margin=0.3")
            try:
                values[name.strip()] = float(value)
            except ValueError as error:
                raise BadInputError("An assumption needs a number", got=setting, allowed="margin=0.3") from error
        return cls(**values)
