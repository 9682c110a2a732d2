from pathlib import Path

import pytest

from tradewind.errors import BadInputError, NotFoundError
from tradewind.sources import load, names, new_source, run_import
from tradewind.tables import TABLES


def test_shipped_sources_declare_themselves():
    assert names() == ["complete_journey", "olist", "online_retail"]
    for name in names():
        source = load(name)
        assert source.name == name
        assert source.licence
        assert source.notice
        assert "order_lines" in source.tables
        assert set(source.tables) <= set(TABLES)


def test_the_complete_journey_quotes_its_notice():
    source = load("complete_journey")
    assert source.simulated
    assert "contains simulated data based on real grocery shopping patterns" in source.notice
    assert "commercial decision-making" in source.notice


def test_a_source_is_a_part_of_a_marketplace_unless_it_says_so():
    assert load("olist").whole_marketplace
    assert not load("online_retail").whole_marketplace


def test_unknown_source_names_the_known_ones(tmp_path: Path):
    with pytest.raises(NotFoundError, match="olist"):
        load("nothing_of_the_kind")
    with pytest.raises(NotFoundError):
        load(tmp_path)


def test_a_new_source_imports_as_it_is_written(tmp_path: Path):
    folder = new_source("my_shop", tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (data / "orders.csv").write_text(
        "order_id,line,ordered_at,product_id,quantity,unit_price\n1,1,01.06.2024 14:30,tea,2,9.90\n"
    )
    report = run_import(load(folder), data, tmp_path / "store")
    assert report.tables["order_lines"].kept == 1
    with pytest.raises(BadInputError, match="there already"):
        new_source("my_shop", tmp_path)
    with pytest.raises(BadInputError, match="cannot be the name"):
        new_source("../x", tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("colour = 1", "does not know"),
        ('[files.x]\npattern = "../x.csv"\ncolumns = ["a"]', "leaves the data folder"),
        ('[files.x]\npattern = "x.csv"', "names no columns"),
        ('[files.x]\npattern = "x.csv"\ncolumns = ["a"]\nrows = "some"', "neither of two"),
        ('[files."x y"]\npattern = "x.csv"\ncolumns = ["a"]', "cannot be selected from"),
        ('[tables.order_lines]\nreplace = "never"', "cannot be read"),
        ('[tables.shops]\nreplace = "days"', "no days"),
        ("[", "is not TOML"),
    ],
)
def test_a_bad_declaration_is_named(own_source, more: str, message: str):
    with pytest.raises(BadInputError, match=message):
        load(own_source("\n" + more + "\n"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('currency = "EUR"', 'currency = "Euro"', "not a code"),
        ('timezone = "Europe/Berlin"', 'timezone = "Berlin"', "not known"),
        ('name = "own"', 'name = "My shop"', "not a name"),
        ('licence = "CC0"', "licence = 3", "does not say"),
    ],
)
def test_a_bad_setting_is_named(own_source, old: str, new: str, message: str):
    folder = own_source()
    path = folder / "source.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BadInputError, match=message):
        load(folder)


def test_sql_of_no_table_and_steps_in_a_circle_are_named(own_source):
    folder = own_source()
    (folder / "orders.sql").write_text("SELECT 1")
    with pytest.raises(BadInputError, match="fills no canonical table"):
        load(folder)
    (folder / "orders.sql").unlink()
    (folder / "_a.sql").write_text("SELECT * FROM _b")
    (folder / "_b.sql").write_text("SELECT * FROM _a")
    with pytest.raises(BadInputError, match="circle"):
        load(folder)


def test_no_data_folder_and_no_package_is_said(own_source, tmp_path: Path):
    with pytest.raises(BadInputError, match="needs a folder"):
        run_import(load(own_source()), None, tmp_path / "store")
    with pytest.raises(BadInputError, match="does not exist"):
        run_import(load(own_source()), tmp_path / "no", tmp_path / "store")


def test_a_package_that_is_missing_is_named(own_source, tmp_path: Path):
    package = '[package]\nname = "no_such_package"\nfolder = "data"\ninstall = "pip install it"\n'
    with pytest.raises(BadInputError, match="pip install it"):
        run_import(load(own_source(package)), None, tmp_path / "store")
