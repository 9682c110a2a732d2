"""Pictures of charts without a browser, and what draws them in one without a network."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import vl_convert as vlc

from tradewind.charts.theme import LIGHT, Spec, with_variables
from tradewind.letters import legible

_NARROW = 480


def svg(spec: Mapping[str, Any], width: int = 720, *, css: bool = False) -> str:
    """Render a specification as SVG.

    Args:
        spec: A specification of this module.
        width: Width in pixels; narrow ones get shorter labels.
        css: Whether its colours are variables that the page defines (`css_colours`), rather than those of light pages.

    Returns:
        The SVG element, with a title on every mark that has a tooltip.
    """
    drawn: str = vlc.vegalite_to_svg(_sized(_legible(spec), width))
    titled = re.sub(r'(<path aria-label="([^"]*)"[^>]*?)/>', r"\1><title>\2</title></path>", drawn)
    drawn = _renumbered(titled)
    return with_variables(drawn) if css else drawn


def png(spec: Mapping[str, Any]) -> bytes:
    """Render a specification as PNG, in light colours and at twice its size, as slides want it."""
    sized = _sized(_legible(spec), 720)
    sized["background"] = LIGHT["surface"]
    drawn: bytes = vlc.vegalite_to_png(sized, scale=2.0)
    return drawn


@functools.cache
def bundle() -> str:
    """Return the JavaScript that draws specifications in a page without any connection."""
    script: str = vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script


def _legible(part: Any) -> Any:
    """Return a specification without characters that no SVG may hold: the renderer would end the process over one."""
    if isinstance(part, str):
        return legible(part)
    if isinstance(part, dict):
        return {legible(name): _legible(value) for name, value in part.items()}
    return [_legible(value) for value in part] if isinstance(part, list) else part


def _sized(spec: Spec, width: int) -> Spec:
    if width >= _NARROW:
        return {**spec, "width": width}
    axis = {**spec["config"]["axis"], "labelLimit": round(width * 0.35), "tickCount": 4}
    return {**spec, "width": width, "config": {**spec["config"], "axis": axis}}


def _renumbered(drawn: str) -> str:
    """Count ids from 0: the renderer counts on from picture to picture, and the same chart should be the same text."""
    names = {name: f"clip{n}" for n, name in enumerate(dict.fromkeys(re.findall(r'id="(clip\d+)"', drawn)))}
    return re.sub(r"clip\d+(?=[\")])", lambda found: names[found[0]], drawn)
