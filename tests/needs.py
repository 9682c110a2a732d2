"""What a machine lacks for a test: it is skipped, with the reason, and fails where all programs are to be there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

DATA = Path(os.environ.get("TRADEWIND_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""The folder of the public data, which is no part of the repository."""
MASTER = os.environ.get("TRADEWIND_TEST_SPARK", "local[2]")
"""The Spark that tests run on."""


def shared(folder: str) -> pytest.MarkDecorator:
    """Return the mark of tests of a folder of the public data: they are skipped where there is no such folder."""
    return pytest.mark.skipif(not (DATA / folder).is_dir(), reason=f"{folder} is not in {DATA}; set TRADEWIND_DATA")


def lacking(what: str) -> NoReturn:
    """Skip a test that needs something of the machine; under CI=true it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def chromium() -> str:
    """Return where Debian's Chromium is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or lacking("pages need Chromium to be looked at: apt-get install chromium")
