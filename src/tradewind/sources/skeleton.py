"""A commented beginning for a source of one's own."""

from __future__ import annotations

import re
from pathlib import Path

from tradewind.errors import BadInputError

TOML = """\
# What this source is. Every number computed from it is shown with its licence and notice.
name = "{name}"
licence = "our own data"
notice = "Orders of our own shop."
currency = "EUR"              # ISO 4217; every amount is in it
timezone = "Europe/Berlin"    # days are counted in this zone
country = "DE"                # whose public holidays count; leave it out where there are many
simulated = false
whole_marketplace = false     # true where all sellers of a marketplace are in it, not only shops of one's own

# Moments are read as ISO 8601 (2024-06-01 14:30:00). Name other formats here, and wrap the column in moment(...).
moments = ["%d.%m.%Y %H:%M"]

# Amounts are read as 1234.56. Show here how the files write that if they write it otherwise: "1,234.56", "1.234,56",
# "1 234,56", or "1.234" without cents.
# amounts = "1.234,56"

# One section for each kind of file. The SQL selects from it under this name; every column is text there.
[files.orders]
pattern = "orders*.csv"
columns = ["order_id", "line", "ordered_at", "product_id", "quantity", "unit_price"]
optional = ["customer_id", "shop_id"]
# required = false            # an import without such a file is then no error
# rows = "together"           # where the SQL combines rows, so that not each one is found again
# delimiter = ";"             # told from the header where it is not given
# skip = "why"                # these files are known and left unread

# How a later import replaces rows: by "days" (tables with days), with their "parents" (parts of another table), or by
# "keys" (the others).
# [tables.order_status]
# replace = "parents"
"""

SQL = """\
-- One row for each row of the canonical table order_lines, with the columns that this source has.
-- _file and _row say where a row comes from; where rows are combined, take any_value(_file) and min(_row).
-- Values stay text: a value that cannot be read is rejected by name, and nothing else is lost.
-- moment(x) reads the formats of source.toml, money(x) amounts, number(x) amounts to calculate with; utc(x) turns local
-- time into UTC, local_time(x) back.
SELECT
    order_id,
    line,
    utc(moment(ordered_at)) AS ordered_at,
    customer_id,
    coalesce(shop_id, 'main') AS shop_id,
    product_id,
    quantity,
    money(unit_price) AS unit_price,
    _file,
    _row
FROM orders
"""

README = """\
# {name}

A source of one's own: `source.toml` says which files there are, one `.sql` file for each canonical table says how to
fill it. A file whose name begins with `_` is a step that the others select from. `skipped.sql` names rows that are left
out on purpose (`_file`, `_row`, `reason`).

    tradewind import {folder} --data FOLDER_OF_FILES

Rows that break a table's contract are in the table `rejected`, with file, row, value and what was allowed.
"""


def new_source(name: str, folder: Path) -> Path:
    """Write the skeleton of a source.

    Args:
        name: Name of the source.
        folder: The folder in which a folder of that name is made.

    Returns:
        The source's folder.

    Raises:
        BadInputError: If the name cannot be one, or the folder is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BadInputError(
            "This cannot be the name of a source", got=name, allowed="small letters, digits and _, such as my_shop"
        )
    place = folder / name
    if place.exists():
        raise BadInputError("The folder of the source is there already", got=place, do="choose another name or folder")
    place.mkdir(parents=True)
    (place / "source.toml").write_text(TOML.format(name=name), encoding="utf-8")
    (place / "order_lines.sql").write_text(SQL, encoding="utf-8")
    (place / "README.md").write_text(README.format(name=name, folder=place), encoding="utf-8")
    return place
