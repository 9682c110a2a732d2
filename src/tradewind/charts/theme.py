"""The house theme: colours for light and dark pages, fonts, and the quiet axes of every chart.

A specification names the colours of the light theme. In a picture within a page CSS variables stand for them, so that
one picture serves a light page, a dark page and a printed one.
"""

from __future__ import annotations

import re
from typing import Any

Spec = dict[str, Any]

# Blue against orange stays apart for every common kind of colour blindness; each reads on its surface at 4.5 : 1.
PALETTE: dict[str, tuple[str, str]] = {
    "ink": ("#1b2733", "#e8eef4"),
    "muted": ("#566472", "#a3b1bf"),
    "line": ("#dbe1e7", "#323d48"),
    "surface": ("#fefefe", "#171f27"),
    "wash": ("#eef2f6", "#242f3a"),
    "up": ("#1768a6", "#62b1ee"),
    "down": ("#bf4f0a", "#f49a4a"),
    "total": ("#5a6979", "#8f9eae"),
    "expected": ("#75818e", "#97a4b1"),
    "second": ("#7a4fa3", "#bd97e3"),
    "third": ("#0d7a6b", "#4fc4b2"),
    "fourth": ("#a8326e", "#ee86b7"),
    "fifth": ("#7d6608", "#d8bd4a"),
}
LIGHT = {name: colours[0] for name, colours in PALETTE.items()}
SERIES = ("up", "down", "second", "third", "fourth", "fifth")
# Fonts of one width on every system: words are measured when the picture is made, and set where it is read.
FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"


def css_colours(theme: str = "light") -> str:
    """Return the CSS declarations of the colours of a theme: `--tw-ink: #1b2733;` and so on."""
    return " ".join(f"--tw-{name}: {colours[theme == 'dark']};" for name, colours in PALETTE.items())


def config() -> dict[str, Any]:
    """Return Vega-Lite's configuration of every chart."""
    words = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500}
    words |= {"labelColor": LIGHT["ink"], "titleColor": LIGHT["muted"]}
    quiet = {"gridColor": LIGHT["line"], "domainColor": LIGHT["line"], "tickColor": LIGHT["line"]}
    return {
        "font": FONT,
        "view": {"stroke": None},
        "padding": 4,
        "axis": {**words, **quiet, "labelLimit": 240, "tickCount": 6, "aria": False},
        "axisX": {"labelColor": LIGHT["muted"], "labelOverlap": True},
        "axisY": {"tickCount": 5},
        "legend": {**words, "symbolSize": 160, "aria": False},
        "text": {"font": FONT, "fontSize": 12},
    }


def with_variables(text: str) -> str:
    """Return a picture's text with CSS variables such as `var(--tw-up)` for the colours of the light theme."""
    swaps = {light: f"var(--tw-{name})" for name, (light, _) in PALETTE.items()}
    return re.sub("|".join(swaps), lambda found: swaps[found[0]], text)
