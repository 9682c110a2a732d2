from __future__ import annotations

import pytest

from tradewind.letters import legible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tea\x0bHouse", "TeaHouse"),
        ("\x1b[2J\x9b2JTea\r", "[2J2JTea"),
        ("\u202eelddim\u202c \u2067x\u2069", "elddim x"),
        ("Tea\uffff\ufffe\x00\x7f\ud800", "Tea"),
        ("line\n\tbreak, متجر, 茶屋, 👩\u200d👩\u200d👧", "line\n\tbreak, متجر, 茶屋, 👩\u200d👩\u200d👧"),
    ],
)
def test_what_no_reader_sees_goes(text: str, shown: str) -> None:
    assert legible(text) == shown
