"""Gifts: pieces for which the customer paid the seller nothing, or a cent; nobody's demand, and not free."""

from __future__ import annotations

from dataclasses import replace

import ibis
import ibis.expr.types as ir

from tradewind.measures import metrics as m
from tradewind.measures.fact import MONEY, WHOLE, WIDE, Row
from tradewind.measures.metric import Additive

CENT = "0.01"
"""A piece that sells for no more, the seller's discount off, is given: a sample, or a gift with a purchase.

What others pay for the customer (a voucher of the platform) is paid: GMV counts it, so that such a piece is sold.
"""


def given(row: Row) -> ir.BooleanValue:
    """Whether the pieces of an order line were given, not sold."""
    return row.gmv <= (ibis.literal(CENT).cast(WIDE) * row.quantity.cast(WHOLE)).cast(MONEY)


def sold(metric: Additive, *, gifts: bool = False) -> Additive:
    """Return a sum over order lines without those of gifts, or over theirs alone."""

    def value(row: Row) -> ir.Value:
        every = metric.value(row)
        none = ibis.literal(0).cast(every.type())
        return given(row).ifelse(every, none) if gifts else given(row).ifelse(none, every)

    return replace(
        metric, name=f"{'given' if gifts else 'sold'}_{metric.name}", value=value,
        doc=f"{metric.doc} {'Of gifts only.' if gifts else 'Without gifts.'}",
    )  # fmt: skip


PIECES = sold(m.ITEMS)

__all__ = ["CENT", "PIECES", "given", "sold"]
