"""Scope: which shops a caller may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tradewind.errors import ForbiddenError


@dataclass(frozen=True, slots=True)
class Scope:
    """The shops that a caller may see; None is an operator, who sees all.

    Args:
        shops: Ids of the shops, or None for every shop.
    """

    shops: frozenset[str] | None = None

    @classmethod
    def of(cls, shops: Iterable[str]) -> Scope:
        """Return the scope of these shops only."""
        return cls(frozenset(shops))

    @property
    def everything(self) -> bool:
        """Whether the scope is an operator's."""
        return self.shops is None

    def narrowed(self, shops: Iterable[str]) -> Scope:
        """Return the scope limited further to `shops`.

        Raises:
            ForbiddenError: If one of them lies outside this scope. The message names no shop, so that it tells
                nothing about shops that the caller may not see.
        """
        wanted = frozenset(shops)
        if self.shops is not None and not wanted <= self.shops:
            raise ForbiddenError("A shop lies outside what this caller may see", do="ask for your own shops only")
        return Scope(wanted)


OPERATOR = Scope()
