"""Writing: files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def put(file: Path, text: str) -> None:
    """Write a text in UTF-8 in the place of a file, whole or not at all, also where the power fails.

    Raises:
        OSError: If it cannot be written; what stood there stands.
    """
    fresh = file.with_name(f".{file.name}-{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    sync(file.parent)


def sync(folder: Path) -> None:
    """Let what a folder lists last, also where the power fails."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = ["put", "sync"]
