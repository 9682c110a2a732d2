"""Charts: every picture of the house as a Vega-Lite specification in one theme, and its rendering without a browser."""

from tradewind.charts.drawing import concentration, funnel, heatmap, lines, ranked_bars, trend, waterfall
from tradewind.charts.picture import bundle, png, svg
from tradewind.charts.room import live_room
from tradewind.charts.theme import PALETTE, Spec, css_colours

__all__ = [
    "PALETTE",
    "Spec",
    "bundle",
    "concentration",
    "css_colours",
    "funnel",
    "heatmap",
    "lines",
    "live_room",
    "png",
    "ranked_bars",
    "svg",
    "trend",
    "waterfall",
]
