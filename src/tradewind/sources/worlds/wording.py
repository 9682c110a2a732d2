"""Wording: names, titles, captions and reviews, so that the tables read like a marketplace's.

What quality a buyer feels in a listing shows in its title and pictures, with noise.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.cast import EACH, Cast
from tradewind.sources.worlds.preset import DEPARTMENTS, SORTS

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST = (
    "Amber", "Blue", "Cedar", "Coral", "Dune", "Ember", "Fern", "Golden", "Harbour", "Indigo", "Juniper", "Lagoon",
    "Maple", "Mist", "North", "Olive", "Pebble", "Quiet", "River", "Saffron", "Tidal", "Velvet", "Willow", "Zephyr",
)  # fmt: skip
SECOND = ("Atelier", "Bazaar", "Collective", "Corner", "Depot", "House", "Lane", "Market", "Outlet", "Room", "Store",
          "Studio", "Supply", "Trading", "Works", "Yard")  # fmt: skip
GIVEN = ("Aisha", "Budi", "Chai", "Dewi", "Farid", "Gita", "Hana", "Indra", "Jaya", "Kiet", "Lina", "Mei", "Nadia",
         "Omar", "Putri", "Quynh", "Rina", "Sari", "Tuan", "Wati", "Yusuf", "Zara")  # fmt: skip
GOOD = ("breathable", "gentle", "compact", "durable", "lightweight", "refillable", "handmade", "quick-dry", "quiet",
        "unscented", "washable", "non-slip")  # fmt: skip
SIZES = ("set of 2", "500 ml", "large", "30 pieces", "one size", "1.2 m", "travel size", "250 g")
LOUD = ("HOT SALE", "BEST PRICE", "MUST BUY", "VIRAL")
PRAISE = ("Exactly as shown, would buy again.", "Good quality for the price.", "Arrived fast and well packed.",
          "My second order already.")  # fmt: skip
BLAME = ("Not as in the pictures.", "Broke after a week.", "Came late and the box was open.", "Smaller than I thought.")
SO_SO = ("It is fine.", "Does what it should.", "Colour is a little off.")


class Wording:
    """Words for everybody in a world.

    Args:
        cast: Who is there.
    """

    def __init__(self, cast: Cast):
        self.cast = cast
        self.draw = cast.streams

    def shops(self, number: Ints) -> pa.Array:
        """Return names of shops."""
        first = self.draw.below(len(FIRST), "shop first", number)
        second = self.draw.below(len(SECOND), "shop second", number)
        return pa.array([f"{FIRST[a]} {SECOND[b]}" for a, b in zip(first.tolist(), second.tolist(), strict=True)])

    def brands(self, number: Ints) -> pa.Array:
        """Return brands of products: each shop has two."""
        shop = self.cast.products.shop[number]
        which = self.draw.below(2, "brand", number)
        first = self.draw.below(len(FIRST), "brand name", shop, which)
        return pa.array([f"{FIRST[a]} & Co" for a in first.tolist()])

    def creators(self, number: Ints) -> pa.Array:
        """Return names of creators."""
        given = self.draw.below(len(GIVEN), "given name", number)
        what = self.cast.creators.department[number]
        names = list(DEPARTMENTS)
        return pa.array(
            [f"{GIVEN[a]} loves {names[d].lower()}" for a, d in zip(given.tolist(), what.tolist(), strict=True)]
        )

    def titles(self, number: Ints, listing: Array) -> pa.Array:
        """Return titles: a good listing says what it is, for whom and how much; a poor one shouts."""
        felt = (listing[number] if len(listing) != len(number) else listing) + 0.25 * self.draw.normal("title", number)
        sorts = self.cast.products.sort[number].tolist()
        good = self.draw.below(len(GOOD), "title good", number[:, None], np.arange(2)[None, :]).tolist()
        size = self.draw.below(len(SIZES), "title size", number).tolist()
        loud = self.draw.below(len(LOUD), "title loud", number).tolist()
        found = []
        for n, (sort, quality) in enumerate(zip(sorts, felt.tolist(), strict=True)):
            thing = SORTS[sort].split("/")[1]
            words = [f"{GOOD[good[n][0]].capitalize()} {thing.lower()}" if quality > -0.3 else thing]
            words += [GOOD[good[n][1]]] if quality > 0.3 else []
            words += [SIZES[size[n]]] if quality > 0.0 else []
            words += [f"{LOUD[loud[n]]}!!"] if quality < -0.5 else []
            found.append(", ".join(words) + f" {int(number[n]) % 97 + 3}")
        return pa.array(found, pa.string())

    def descriptions(self, number: Ints) -> pa.Array:
        """Return descriptions of products."""
        sorts = self.cast.products.sort[number].tolist()
        good = self.draw.below(len(GOOD), "described", number).tolist()
        return pa.array(
            [f"{GOOD[g].capitalize()} {SORTS[s].split('/')[1].lower()} for {SORTS[s].split('/')[0].lower()}."
             for g, s in zip(good, sorts, strict=True)]
        )  # fmt: skip

    def images(self, number: Ints, listing: Array) -> pa.Array:
        """Return addresses of pictures: more of them where the listing is good."""
        felt = (listing[number] if len(listing) != len(number) else listing) + 0.3 * self.draw.normal(
            "pictures", number
        )
        count = np.clip(np.round(4 + 3 * felt), 1, 9).astype(int).tolist()
        return pa.array(
            [json.dumps([f"world:{p}/{n}" for n in range(c)]) for p, c in zip(number.tolist(), count, strict=True)]
        )

    def attributes(self, number: Ints) -> pa.Array:
        """Return what can be measured on a product's first picture: noisy signs of the listing's quality."""
        felt = self.cast.products.listing[number]
        white = felt + 0.8 * self.draw.normal("white", number) > 0
        light = 1 / (1 + np.exp(-(0.8 * felt + 0.6 * self.draw.normal("light", number))))
        words = 1 / (1 + np.exp(-(-0.6 * felt - 0.8 + 0.7 * self.draw.normal("overlay", number))))
        return pa.array([
            json.dumps({"white_background": bool(w), "brightness": round(b, 3), "text_overlay": round(o, 3)})
            for w, b, o in zip(white.tolist(), light.tolist(), words.tolist(), strict=True)
        ])  # fmt: skip

    def customers(self, number: Ints) -> pa.Array:
        """Return what a marketplace knows of customers: an age band and a device, which say little."""
        band = self.draw.below(5, "age", number).tolist()
        phone = self.draw.below(2, "device", number).tolist()
        ages, phones = ("18-24", "25-34", "35-44", "45-54", "55+"), ("android", "ios")
        return pa.array([f'{{"age": "{ages[a]}", "device": "{phones[p]}"}}' for a, p in zip(band, phone, strict=True)])

    def rooms(self, rooms: Any) -> pa.Array:
        """Return titles of live sessions."""
        sorts = np.maximum(rooms.lineup[:, 0], 0)
        names = list(DEPARTMENTS)
        what = (self.cast.products.sort[sorts] // EACH).tolist()
        hour = (rooms.start // 60).tolist()
        return pa.array(
            [f"{names[d]} {'tonight' if h >= 18 else 'at noon' if 11 <= h < 14 else 'live'}" for d, h in
             zip(what, hour, strict=True)]
        )  # fmt: skip

    def campaigns(self, days: Ints) -> pa.Array:
        """Return names of campaigns."""
        dates = [self.cast.preset.first.toordinal() + int(day) for day in days]
        made = [self.cast.preset.first.fromordinal(day) for day in dates]
        return pa.array([f"{day.day}.{day.month} sale" for day in made])

    def captions(self, product: Ints, creator: Ints) -> pa.Array:
        """Return captions of videos."""
        sorts = self.cast.products.sort[product].tolist()
        return pa.array(
            [f"{'I tried this' if c >= 0 else 'New in our shop:'} {SORTS[s].split('/')[1].lower()}"
             for s, c in zip(sorts, creator.tolist(), strict=True)],
            pa.string(),
        )  # fmt: skip

    def reviews(self, stars: Array, product: Ints) -> pa.Array:
        """Return texts of reviews."""
        pick = self.draw.below(60, "review", product, stars.astype(np.int64)).tolist()
        found = []
        for star, n in zip(stars.tolist(), pick, strict=True):
            words = PRAISE if star >= 4 else BLAME if star <= 2 else SO_SO
            found.append(words[n % len(words)])
        return pa.array(found, pa.string())
