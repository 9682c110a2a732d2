"""Letters: which of them a page, a picture or a terminal can show without harm."""

from __future__ import annotations

import re

_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def legible(text: str) -> str:
    """Return text without what no reader sees: control characters but line breaks and tabs, and turns of direction.

    Names come from outside. XML forbids most of these characters, a terminal obeys them, and a turn of direction that
    is not ended turns the words after it around.

    >>> legible("Tea\\x0bHouse\\x1b[31m")
    'TeaHouse[31m'
    """
    return _UNSHOWN.sub("", text)
