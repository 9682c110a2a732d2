"""How much memory an engine may take."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tradewind.errors import BadInputError

SETTING = "TRADEWIND_MEMORY"
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_UNITS = {"m": 1, "g": 1024, "t": 1024**2}


def mebibytes(given: str | None = None) -> int:
    """Return how many MiB an engine may take.

    Args:
        given: Such as `4GB` or `800MB`; by default the environment variable `TRADEWIND_MEMORY`, else half of what the
            machine, or the container that this runs in, has.

    Raises:
        BadInputError: If the amount cannot be read.
    """
    given = given or os.environ.get(SETTING, "")
    if not given:
        return max(_there() // 2, 512)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mgt])i?b?", given.strip().lower())
    amount = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if amount < 1:
        raise BadInputError("The memory limit cannot be read", got=given, allowed="an amount such as 800MB or 4GB")
    return amount


def _there() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _LIMIT.read_text().strip() if _LIMIT.exists() else "max"
    return min(machine, int(limit) if limit.isdigit() else machine) // 2**20
