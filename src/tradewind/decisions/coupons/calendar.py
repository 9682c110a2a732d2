"""Calendar: the marketplace's own coupons that customers will hold anyway while another runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.coupons.issues import DAY
from tradewind.decisions.coupons.record import Record
from tradewind.decisions.coupons.worth import Background

Array = NDArray[np.float64]

RECENT = 56  # days whose coupons are taken to go on, where they come in no order
LONGEST = 8  # coupons that take turns, at most
TURNS = 2  # times that a round must have been seen
EXACT = 3_600  # seconds by which a start may stray


def background(record: Record, start: int, end: int) -> Background:
    """Return the coupons that run between two moments: known ones, and those to come.

    Where coupons came at even steps and took turns, they are taken to go on so; else those of the last weeks are taken
    to come as often as they did.

    Args:
        record: What is known.
        start: The first second.
        end: The second after the last.
    """
    issues = record.issues
    step, turns = _round(record)
    if not step:
        return _usual(record)
    face, threshold = list(issues.face), list(issues.threshold)
    starts, ends = list(issues.start), list(issues.end)
    length = int(np.median(issues.end - issues.start))
    while starts[-1] + step < end:
        face.append(face[-turns])
        threshold.append(threshold[-turns])
        starts.append(starts[-1] + step)
        ends.append(starts[-1] + length)
    share = np.maximum(np.minimum(ends, end) - np.maximum(starts, start), 0) / max(end - start, 1)
    return _gathered(np.array(face), np.array(threshold), share)


def _round(record: Record) -> tuple[int, int]:
    """The step in seconds by which coupons came and how many take turns; 0 where they came otherwise."""
    issues = record.issues
    gaps = np.diff(issues.start)
    count = len(issues)
    if not len(gaps) or np.ptp(gaps) > EXACT or issues.start[-1] + gaps[-1] < record.now - EXACT:
        return 0, 0
    terms = np.stack([issues.face, issues.threshold], axis=1)
    for turns in range(1, min(LONGEST, count // TURNS) + 1):
        if np.allclose(terms[turns:], terms[:-turns]):
            return int(np.median(gaps)), turns
    return 0, 0


def _usual(record: Record) -> Background:
    issues = record.issues
    since = record.now - RECENT * DAY
    share = np.maximum(np.minimum(issues.end, record.now) - np.maximum(issues.start, since), 0)
    return _gathered(issues.face, issues.threshold, share / max(min(RECENT * DAY, record.now - record.first), 1))


def _gathered(face: Array, threshold: Array, share: Array) -> Background:
    live = share > 0
    if not live.any():
        return Background(np.zeros(1), np.array([np.inf]), np.ones(1), 0.0)
    pairs, of = np.unique(np.stack([face[live], threshold[live]], axis=1), axis=0, return_inverse=True)
    weight = np.bincount(of.ravel(), share[live], len(pairs))
    return Background(pairs[:, 0], pairs[:, 1], weight / weight.sum(), float(weight.sum()))
