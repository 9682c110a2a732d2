"""Progress reaches whoever listens, and nobody else."""

from __future__ import annotations

from tradewind.progress import listening, told


def test_what_is_told_is_heard_while_somebody_listens() -> None:
    heard: list[tuple[str, int, int]] = []
    told("before", 0, 1)
    with listening(lambda *step: heard.append(step)):
        told("first", 0, 2)
        with listening(lambda *step: None):
            told("elsewhere", 0, 1)
        told("second", 1, 2)
    told("after", 1, 1)
    assert heard == [("first", 0, 2), ("second", 1, 2)]
