from collections.abc import Callable
from pathlib import Path

import pytest
from own_market import ORDER_COLUMNS


@pytest.fixture
def own_source(tmp_path: Path) -> Callable[..., Path]:
    """Write a source of orders and products, with more settings if given, and return its folder."""

    def write(more: str = "", currency: str = "EUR", name: str = "own") -> Path:
        folder = tmp_path / f"source-{name}-{currency}"
        folder.mkdir(exist_ok=True)
        columns = ", ".join(f'"{column}"' for column in ORDER_COLUMNS)
        (folder / "source.toml").write_text(
            f'name = "{name}"\nlicence = "CC0"\nnotice = "Made up."\ncurrency = "{currency}"\n'
            'timezone = "Europe/Berlin"\nmoments = ["%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y"]\n'
            f'[files.orders]\npattern = "orders*"\ncolumns = [{columns}]\n'
            '[files.goods]\npattern = "goods*.csv"\ncolumns = ["product_id", "title"]\nrequired = false\n' + more,
            encoding="utf-8",
        )
        (folder / "order_lines.sql").write_text(
            "SELECT * REPLACE (utc(moment(ordered_at)) AS ordered_at) FROM orders", encoding="utf-8"
        )
        (folder / "products.sql").write_text("SELECT * FROM goods", encoding="utf-8")
        return folder

    return write
