"""Files are there whole or not at all."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tradewind.writing import put


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    put(file, "一")
    put(file, "二")
    assert file.read_text(encoding="utf-8") == "二"
    assert list(tmp_path.iterdir()) == [file]


def test_what_stood_there_stands_where_there_is_no_room(tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    put(file, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            put(file, "after" * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_of_several_threads_each_writes_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    texts = [letter * 50_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: put(file, text), texts * 5))
    assert file.read_text() in texts
    assert list(tmp_path.iterdir()) == [file]
