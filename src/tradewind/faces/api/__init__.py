"""The API: everything that the console shows, as JSON under `/api/v1`."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from tradewind.faces.api import entities, jobs, ledger, metrics, plan, studies
from tradewind.faces.api.shape import ERRORS, understood

router = APIRouter(prefix="/api/v1", responses=ERRORS, dependencies=[Depends(understood)])
for part in (metrics, studies, plan, ledger, entities, jobs):
    router.include_router(part.router)

__all__ = ["router"]
