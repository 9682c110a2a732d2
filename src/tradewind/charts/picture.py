"""Pictures of charts without a browser, and what draws them in one without a network."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import vl_convert as vlc

from tradewind.charts.theme import PALETTE, Spec, recoloured, themed
from tradewind.letters import legible

_NARROW = 480


def svg(spec: Mapping[str, Any], width: int = 720, colours: str = "light") -> str:
    """Render a specification as SVG.

    Args:
        spec: A specification of this module.
        width: Width in pixels; narrow ones get shorter labels.
        colours: `light`, `dark`, or `css` for variables that the page defines (`css_colours`).

    Returns:
        The SVG element, with a title on every mark that has a tooltip.
    """
    drawn: str = vlc.vegalite_to_svg(_sized(_legible(themed(spec)), width))
    titled = re.sub(r'(<path aria-label="([^"]*)"[^>]*?)/>', r"\1><title>\2</title></path>", drawn)
    return recoloured(_renumbered(titled), colours)


def png(spec: Mapping[str, Any], width: int = 720, colours: str = "light", scale: float = 2.0) -> bytes:
    """Render a specification as PNG.

    Args:
        spec: A specification of this module.
        width: Width in pixels before scaling.
        colours: `light` or `dark`.
        scale: Pixels of the picture for each pixel of the chart.
    """
    sized = _sized(_legible(themed(spec, colours)), width)
    sized["background"] = PALETTE["surface"][colours == "dark"]
    drawn: bytes = vlc.vegalite_to_png(sized, scale=scale)
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
