"""Every page of the console, as whoever may see it; every file that a page gives; errors in words."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from desks import Server, served

import market
from tradewind.ledger import Approval, Promise
from tradewind.period import Period
from tradewind.study import Action, Assignment, Choice, Estimate, Lever, Party, Setting, Subject

PAGES = (
    "/", "/why", "/plan", "/ledger", "/shops", "/products", "/creators", "/segments", "/live", "/studies", "/data",
    "/data/rejected", "/data/order_lines", "/jobs", "/search", "/search?q=shop", "/studies/performance",
    "/studies/prices", "/shops/shop-02", "/products/p02", "/why?metric=aov&against=last-year",
    "/?period=2024-01&against=last-year&shop=shop-02", "/products?q=a&order=title&limit=5&offset=2",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there(here: Server, path: str) -> None:
    answer = here.client.get(path)
    assert answer.status_code == 200, answer.text
    assert "<h1>" in answer.text
    assert "Traceback" not in answer.text


def test_a_page_forbids_everything_that_is_not_its_own(here: Server) -> None:
    answer = here.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-store"
    scripts = re.findall(r"<script(?![^>]*application/json)[^>]*>", answer.text)
    assert scripts
    assert all("src=" in script for script in scripts)
    assert not re.search(r"\son\w+=|\sstyle=|<style", answer.text)


def test_assets_are_kept_by_browsers_and_change_their_names(here: Server) -> None:
    page = here.client.get("/").text
    for href in (*re.findall(r'(?:href|src)="(/assets/[^"]+)"', page), re.findall(r'data-charts="([^"]+)"', page)[0]):
        answer = here.client.get(href)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert here.client.get("/assets/console-000000000000.css").status_code == 404


def test_every_table_and_chart_of_today_is_a_file(here: Server) -> None:
    page = here.client.get("/?period=2024-01").text
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/\?[^"]*(?:csv|chart)=[^"]*)"', page)}
    assert any("csv=headline" in link for link in links)
    for link in links:
        answer = here.client.get(link)
        assert answer.status_code == 200
        assert "attachment" in answer.headers["content-disposition"]
        if "csv=" in link:
            assert len(list(csv.reader(io.StringIO(answer.text)))) > 1
        else:
            assert json.loads(answer.text)["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert here.client.get("/?period=2024-01&csv=nothing").status_code == 404


def test_a_chart_is_a_picture_without_a_script(here: Server) -> None:
    answer = here.client.get("/?period=2024-01&picture=trend")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "<svg" in answer.text


def test_money_in_a_csv_is_exact(here: Server) -> None:
    text = here.client.get(f"/?period={market.PERIOD}&csv=headline").text
    [gmv] = [row for row in csv.DictReader(io.StringIO(text)) if row["metric"] == "gmv"]
    told = here.client.get(f"/api/v1/metrics/values?metric=gmv&period={market.PERIOD}").json()["rows"][0]["gmv"]
    assert float(gmv["value"]) == float(told)
    assert len(gmv["value"].split(".")[-1]) >= 2


def test_a_number_is_written_in_the_readers_way(here: Server) -> None:
    english = here.client.get("/?period=2024-01", headers={"accept-language": "en"}).text
    german = here.client.get("/?period=2024-01", headers={"accept-language": "de-DE,de;q=0.9"}).text
    shown = re.search(r'class="value">R\$([\d.,]+)', english)
    assert shown
    assert shown[1].translate(str.maketrans(",.", ".,")) in german


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/?period=yesterday", 400), ("/?period=1999-01", 422), ("/?shop=nowhere", 404), ("/why?metric=gvm", 404),
        ("/shops/nowhere", 404), ("/studies/nothing", 404), ("/data/nothing", 404), ("/nowhere", 404),
        ("/shops?limit=0", 400), ("/shops?order=magic", 400), ("/ledger/unknown", 404), ("/jobs/unknown", 404),
        ("/plan?platform=-5", 400), ("/plan?rule=whatever", 200), ("/products?offset=x", 400),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_on_a_page(here: Server, path: str, status: int) -> None:
    answer = here.client.get(path)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert 'role="alert"' in answer.text
        assert "Traceback" not in answer.text


def test_another_sites_page_cannot_send_a_form(here: Server) -> None:
    form = here.form("/plan")
    assert (
        here.client.post("/plan/gather", data={"form": form}, headers={"origin": "http://evil.example"}).status_code
        == 403
    )
    assert (
        here.client.post("/plan/gather", data={"form": form}, headers={"sec-fetch-site": "same-site"}).status_code
        == 403
    )
    assert here.client.post("/plan/gather", data={"form": "0" * 128}).status_code == 403
    assert here.client.post("/plan/gather").status_code == 403


def test_a_foreign_name_of_this_machine_is_refused(here: Server) -> None:
    assert here.client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert here.client.get("/", headers={"host": "[::1"}).status_code == 400


def test_a_body_that_is_too_long_is_not_read(here: Server) -> None:
    assert here.client.post("/plan/verdict", data={"form": "x" * 2_000_000}).status_code == 413


def test_a_study_is_asked_worked_out_and_shown(here: Server) -> None:
    fields = {"form": here.form("/studies/fluctuation"), "period": "2024-01", "metric": "gmv", "against": "previous"}
    answer = here.client.post("/studies/fluctuation", data=fields)
    assert answer.status_code == 303
    where = answer.headers["location"]
    assert where.startswith("/why?")
    waiting = here.client.get(where).text
    assert "data-job=" in waiting
    assert here.work() == 1
    shown = here.client.get(where).text
    assert "data-job=" not in shown
    assert "GMV was" in shown
    assert here.client.get(where + "&csv=factors").status_code == 200


def test_a_job_can_be_cancelled_while_it_waits(here: Server) -> None:
    fields = {"form": here.form("/studies/performance"), "period": "2024-01-01..2024-01-20"}
    here.client.post("/studies/performance", data=fields)
    job = here.client.get("/api/v1/jobs").json()["items"][0]
    back = here.client.post(f"/jobs/{job['id']}/cancel", data={"form": fields["form"]})
    assert (back.status_code, back.headers["location"]) == (303, "/jobs")
    assert here.work() == 0
    assert "cancelled" in here.client.get(f"/jobs/{job['id']}").text


def test_a_server_starts_without_what_forecasts_and_reads_holdouts() -> None:
    """They take two seconds and 100 MiB in each process, and are loaded by who first asks for one."""
    slow = ("lightgbm", "pandas", "scipy.stats", "sklearn")
    code = f"import sys, tradewind.faces.server.app; print([name for name in {slow} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_experiment_among_customers_has_a_page(market_folder: Path, tmp_path: Path) -> None:
    with served(market_folder, tmp_path, today=market.SPAN.last) as server:
        ledger = server.office.ledger(create=True)
        assert ledger is not None
        gain = Estimate(70.0, 60.0, 80.0)
        setting = Setting({"face": 2.0, "threshold": 10.0}, {Party.PLATFORM: 5.0}, {Party.MERCHANT: gain}, gain)
        days = Period(market.SPAN.last + timedelta(days=2), market.SPAN.last + timedelta(days=9))
        action = Action(
            "coupon-keen", Lever.COUPON, Subject("customers", "coupon-keen"), days, (setting,),
            assignment=Assignment("coupon-keen", [f"c{n:03d}" for n in range(120)]),
        )  # fmt: skip
        ledger.launch("spring", [Promise(Choice(action, 0), 0.2)], Approval("olga", ledger.now), "olga")
        [found] = ledger.status().experiments
        page = server.client.get(f"/ledger/{found.id}")
        assert page.status_code == 200, page.text
        assert "for 120 customers" in page.text
