"""Scope: which shops, or which creators' sessions and offers, a caller may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tradewind.errors import ForbiddenError


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may see: some shops, or what is some creators' own; None twice is an operator, who sees all.

    Args:
        shops: Ids of the shops, or None for every shop. A creator has none, so that whatever knows of shops only shows
            nothing.
        creators: Ids of the creators as whom the caller sees, or None where it is not as a creator.
    """

    shops: frozenset[str] | None = None
    creators: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.creators is not None and self.shops != frozenset():
            raise ValueError("a creator sees no shop")

    @classmethod
    def of(cls, shops: Iterable[str]) -> Scope:
        """Return the scope of these shops only."""
        return cls(frozenset(shops))

    @classmethod
    def of_creators(cls, creators: Iterable[str]) -> Scope:
        """Return the scope of these creators' own sessions and offers only."""
        return cls(frozenset(), frozenset(creators))

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
        if self.creators is not None or (self.shops is not None and not wanted <= self.shops):
            raise ForbiddenError("A shop lies outside what this caller may see", do="ask for your own shops only")
        return Scope(wanted)

    def limited(self, to: Scope) -> Scope:
        """Return `to`, where it lies inside this scope.

        Raises:
            ForbiddenError: If it does not.
        """
        if self.everything:
            return to
        if to.shops is None:
            raise ForbiddenError("A scope can be narrowed, never widened")
        if to.creators is None:
            return self.narrowed(to.shops)
        if self.creators is None or not to.creators <= self.creators:
            raise ForbiddenError("A creator lies outside what this caller may see", do="ask for your own only")
        return to


OPERATOR = Scope()
