"""Presets: how large a world is, and the laws by which it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

from tradewind.errors import NotFoundError

VERSION = 3
"""Version of the laws and of what is drawn: results of two versions do not compare."""
TASTES = 6
DEPARTMENTS: dict[str, tuple[str, ...]] = {
    "Beauty": ("Skincare", "Make-up", "Hair", "Fragrance", "Nails"),
    "Fashion": ("Dresses", "Tops", "Shoes", "Bags", "Sportswear"),
    "Home": ("Kitchen", "Bedding", "Lighting", "Storage", "Cleaning"),
    "Food": ("Snacks", "Drinks", "Coffee and tea", "Spices", "Noodles"),
    "Electronics": ("Audio", "Chargers", "Wearables", "Cameras", "Gaming"),
    "Baby": ("Nappies", "Toys", "Clothing", "Feeding", "Care"),
    "Health": ("Vitamins", "Fitness", "Massage", "Oral care", "Sleep"),
    "Pets": ("Food", "Litter", "Toys", "Grooming", "Beds"),
    "Garden": ("Plants", "Tools", "Pots", "Furniture", "Watering"),
    "Stationery": ("Pens", "Paper", "Bags", "Craft", "Desk"),
}
SORTS = [f"{department}/{sort}" for department, sorts in DEPARTMENTS.items() for sort in sorts]
REGIONS = ("North", "South", "East", "West", "Islands")
SURFACES = ("feed", "search", "mall", "store", "external")


@dataclass(frozen=True)
class Laws:
    """The parameters of a world; `docs/worlds.md` gives the equations and where each value comes from.

    Args:
        activity: Mean sessions a customer has a day.
        spread: Log deviation of customers' activity.
        share: Share of sessions by surface, in the order of `SURFACES`.
        slots: Products that a session shows, by surface.
        outside: Utility of buying nothing, by surface.
        appeal: Deviation of products' appeal.
        fit: Weight of the match of taste and product.
        quality: Weight of the quality of listing and product.
        price: Mean price sensitivity: utility lost for each log unit of price.
        dear: What a dearer product is better by, in utility for each log unit of its list price.
        gain: Weight of a price below what buyers are used to, in log units.
        loss: Weight of a price above it.
        habit: Weight of habit in a department.
        loyalty: Weight of having bought from the shop last.
        satiation: Weight of having bought in the department lately.
        coupon: Weight of a coupon for one whom it persuades.
        dog: What a coupon costs in utility with one whom it annoys.
        persuasion: Deviation of creators' persuasion.
        season: Size of the yearly season of departments.
        weather: Log deviation of a day's visits that nothing explains.
        campaign: Utility added on campaign days.
        addition: Chance that an order has a further line.
        pieces: Chance of each further piece of a line.
        unpaid: Share of orders whose payment fails.
        refund: Mean share of paid lines that are given back.
        click: Utility at which half of those who notice a product click, by surface.
        glances: Impressions that are scrolled past for each one that is noticed, by surface.
        message: Share of a message's pull that is left a day later.
        weekly: Size of the weekly season of departments.
        thresholds: Whether responses to coupons, prices, commissions, messages and bought traffic have thresholds and
            saturate (`town_b`), rather than being smooth and concave.
    """

    activity: float = 0.34
    spread: float = 0.85
    share: tuple[float, ...] = (0.56, 0.18, 0.12, 0.08, 0.06)
    slots: tuple[int, ...] = (8, 6, 6, 6, 2)
    outside: tuple[float, ...] = (8.2, 6.8, 7.4, 6.9, 6.0)
    appeal: float = 0.9
    fit: float = 0.8
    quality: float = 0.8
    price: float = 1.8
    dear: float = 1.7
    gain: float = 0.5
    loss: float = 0.8
    habit: float = 0.4
    loyalty: float = 0.6
    satiation: float = 1.0
    coupon: float = 2.5
    dog: float = 1.0
    persuasion: float = 0.4
    season: float = 0.25
    weather: float = 0.10
    campaign: float = 0.45
    addition: float = 0.075
    pieces: float = 0.10
    unpaid: float = 0.03
    refund: float = 0.06
    click: tuple[float, ...] = (4.3, 3.1, 4.1, 2.9, 2.5)
    glances: tuple[float, ...] = (20.0, 6.0, 30.0, 8.0, 20.0)
    message: float = 0.9
    weekly: float = 0.04
    thresholds: bool = False


@dataclass(frozen=True)
class Preset:
    """One size of world.

    Args:
        name: Name.
        shops: Number of shops.
        products: Number of products, those not yet listed among them.
        customers: Number of customers, those yet to come among them.
        creators: Number of creators.
        rooms: Live sessions a day.
        viewers: Mean viewers who enter a live session.
        days: Days of history.
        laws: How the world runs.
        first: First day.
        block: Customers who are simulated at once; bounds memory.
        impressions: Share of impressions that `events` keeps; below 1 in 40, so that no two of a slot are kept.
    """

    name: str
    shops: int
    products: int
    customers: int
    creators: int
    rooms: float
    viewers: float
    days: int
    laws: Laws = field(default_factory=Laws)
    first: date = date(2025, 3, 3)
    block: int = 200_000
    impressions: float = 0.02


TOWN = Preset("town", 200, 5_000, 30_000, 800, 16.7, 220.0, 180, impressions=0.002)
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("tiny", 12, 150, 8_000, 30, 2.0, 80.0, 42),
        TOWN,
        replace(
            TOWN,
            name="town_b",
            laws=Laws(
                thresholds=True,
                season=0.6,
                weekly=0.35,
                satiation=1.6,
                gain=0.9,
                price=1.4,
                dear=1.35,
                habit=0.8,
                appeal=1.1,
            ),
        ),
        Preset("metropolis", 20_000, 500_000, 5_000_000, 80_000, 1_600.0, 400.0, 180, impressions=0.0001),
    )
}


def preset(name: str) -> Preset:
    """Return the preset of that name.

    Raises:
        NotFoundError: If there is none.
    """
    if name not in PRESETS:
        raise NotFoundError("There is no such world", got=name, allowed=sorted(PRESETS))
    return PRESETS[name]
