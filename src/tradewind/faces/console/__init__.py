"""The console: server-rendered pages that people look at in a browser."""

from __future__ import annotations

from fastapi import APIRouter

from tradewind.faces.console import (
    assets,
    data_pages,
    entity_pages,
    job_pages,
    ledger_pages,
    plan_pages,
    sign_in,
    study_pages,
    today_page,
)

router = APIRouter(include_in_schema=False)
for part in (
    assets, sign_in, today_page, study_pages, plan_pages, ledger_pages, entity_pages, data_pages, job_pages,
):  # fmt: skip
    router.include_router(part.router)

__all__ = ["router"]
