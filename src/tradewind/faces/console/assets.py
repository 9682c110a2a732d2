"""Assets: the style sheet, the scripts and the icon, under addresses that change with what is in them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from tradewind import charts
from tradewind.errors import NotFoundError

router = APIRouter(include_in_schema=False)
YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A file that browsers keep.

    Args:
        name: Its address below `/assets/`.
        kind: Its media type.
        body: What is in it.
        packed: The same, compressed.
    """

    name: str
    kind: str
    body: bytes
    packed: bytes


def addresses() -> Mapping[str, str]:
    """Return the address of each asset by its plain name."""
    return {plain: f"/assets/{asset.name}" for plain, asset in _assets().items()}


@router.get("/assets/{name}")
def asset(name: str, request: Request) -> Response:
    """Give a file; one whose address has changed is gone."""
    found = next((each for each in _assets().values() if each.name == name), None)
    if found is None:
        raise NotFoundError("There is no such file", got=name)
    headers = {"cache-control": YEAR, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.kind, headers=headers | {"content-encoding": "gzip"})
    return Response(found.body, media_type=found.kind, headers=headers)


@cache
def _assets() -> Mapping[str, Asset]:
    folder = files("tradewind.faces.console") / "static"
    light, dark = charts.css_colours("light"), charts.css_colours("dark")
    rules = (
        f":root {{ {light} }}",
        f'[data-theme="dark"] {{ {dark} color-scheme: dark; }}',
        f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}',
        f"@media print {{ :root, :root[data-theme] {{ {light} }} }}",
    )
    style = "\n".join((*rules, (folder / "console.css").read_text(encoding="utf-8")))
    found = {
        "console.css": ("text/css; charset=utf-8", style.encode()),
        "console.js": ("text/javascript; charset=utf-8", (folder / "console.js").read_bytes()),
        "charts.js": ("text/javascript; charset=utf-8", charts.bundle().encode()),
        "icon.svg": ("image/svg+xml", (folder / "icon.svg").read_bytes()),
    }
    return {name: _made(name, kind, body) for name, (kind, body) in found.items()}


def _made(name: str, kind: str, body: bytes) -> Asset:
    stem, _, ending = name.rpartition(".")
    return Asset(
        f"{stem}-{hashlib.sha256(body).hexdigest()[:12]}.{ending}", kind, body, gzip.compress(body, 9, mtime=0)
    )
