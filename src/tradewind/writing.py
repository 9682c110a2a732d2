"""Writing: files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def put(file: Path, text: str) -> None:
    """Write a text in UTF-8 in the place of a file, whole or not at all, also where the power fails.

    Raises:
        OSError: If it cannot be written; what stood there stands.
    """
    fresh = beside(file)
    try:
        with fresh.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    sync(file.parent)


def beside(file: Path) -> Path:
    """Return a name beside a file that nobody else writes under, be it another thread: of a draft to be renamed."""
    return file.with_name(f".{file.name}-{os.getpid()}-{secrets.token_hex(4)}")


def sync(folder: Path) -> None:
    """Let what a folder lists last, also where the power fails."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = ["beside", "put", "sync"]
