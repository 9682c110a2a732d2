"""Why a metric moved, and every other question that a study answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from tradewind.errors import BadInputError
from tradewind.faces import studies
from tradewind.faces.check import metrics as known_metrics
from tradewind.faces.console.rendering import address, exported, page
from tradewind.faces.server import questions
from tradewind.faces.server.gate import Asker, Asking, Sender
from tradewind.faces.server.reading import MOST_SHOPS, RECENT, Days, Words, period_of
from tradewind.period import Period

router = APIRouter()
AGAINST = (("previous", "the period before"), ("last-year", "a year before"), ("expected", "what was to be expected"))
ELSEWHERE = {"fluctuation": "/why", "performance": "/studies/performance"}
FIELDS = frozenset({"form", "period", "shop"})


@router.get("/why")
def why(
    request: Request,
    asker: Asker,
    metric: Words = "gmv",
    period: Days = RECENT,
    against: Words = "previous",
    shop: Words = "",
) -> Response:
    """Show why a metric moved: its tree at once, slices and dated causes when a job has found them."""
    days = period_of(period, asker.store)
    wanted = questions.question(asker, "fluctuation", days, {"metric": metric, "against": against}, shop)
    study = wanted.answer
    tree = asker.office.tree(asker.store, metric, days, against, shop)
    if file := exported(request, f"why-{metric}-{days}", study, **({"tree": tree.grid} if tree else {})):
        return file
    asked = {"metric": metric, "period": period, "against": against, "shop": shop}
    return page(
        request, "why.html", f"Why {metric}",
        study=study, job=wanted.job, origin=wanted.store.provenance, tree=tree, asked=asked, period=period, shop=shop,
        against=(against, AGAINST), days=days, metric=metric, shops=_shops(asker),
        metrics=[each for each in known_metrics(asker.store) if each.known],
        here=lambda **more: address("/why", **asked, **more),
    )  # fmt: skip


@router.get("/studies")
def listed(request: Request, asker: Asker) -> Response:
    """Show which questions can be asked."""
    from tradewind.faces.check import studies as ready  # noqa: PLC0415 - loads every wing

    store = asker.store
    return page(request, "studies.html", "Studies", studies=ready(store), origin=store.provenance, urls=ELSEWHERE)


@router.get("/studies/{wing}")
def study(request: Request, asker: Asker, wing: str, period: Days = RECENT, shop: Words = "") -> Response:
    """Show a study, how far it has come, or the form to ask it with."""
    days = period_of(period, asker.store)
    given = {name: value for name, value in request.query_params.items() if name in studies.setting_fields(wing)}
    wanted = questions.question(asker, wing, days, studies.settings_read(wing, given), shop)
    if file := exported(request, f"{wing}-{days}", wanted.answer):
        return file
    return page(
        request, "study.html", studies.wing(wing).title,
        wing=studies.wing(wing), study=wanted.answer, job=wanted.job, origin=wanted.store.provenance, period=period,
        shop=shop, shops=_shops(asker), fields=_fields(wing, given), days=days,
        here=lambda **more: address(f"/studies/{wing}", period=period, shop=shop, **given, **more),
    )  # fmt: skip


@router.post("/studies/{wing}")
async def ask(request: Request, asker: Sender, wing: str) -> Response:
    """Ask a job to answer, and go to where the answer will stand."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    given = {name: value for name, value in form.items() if name not in FIELDS and value}
    period, shop = form.get("period", ""), form.get("shop", "")
    if len(period) > 60 or any(len(value) > 200 for value in (*given.values(), shop)):
        raise BadInputError("The form holds more than its fields take")
    return await _in_thread(_asked, asker, wing, period, shop, given)


async def _in_thread(work: Any, *given: Any) -> Response:
    import anyio.to_thread  # noqa: PLC0415 - beside its one use

    response: Response = await anyio.to_thread.run_sync(work, *given)
    return response


def _asked(asker: Asking, wing: str, period: str, shop: str, given: Mapping[str, str]) -> Response:
    days: Period = period_of(period, asker.store)
    wanted = questions.question(asker, wing, days, studies.settings_read(wing, given), shop)
    questions.ask(asker, wanted)
    path = "/why" if wing == "fluctuation" and not given.get("by") else f"/studies/{wing}"
    return RedirectResponse(address(path, period=period, shop=shop, **given), 303)


def _shops(asker: Asking) -> list[tuple[str, str]]:
    shops = asker.office.shops(asker.store)
    return list(shops.items()) if 1 < len(shops) <= MOST_SHOPS else []


def _fields(wing: str, given: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return name, words and present value of each setting of a wing."""
    words = studies.setting_words(wing)
    return [
        (name, words.get(name, ""), given.get(name, _plain(default)))
        for name, (_, default) in studies.setting_fields(wing).items()
    ]


def _plain(default: Any) -> str:
    if default is None or default == ():
        return ""
    return ",".join(default) if isinstance(default, tuple) else str(default)
