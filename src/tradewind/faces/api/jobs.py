"""Jobs: how far they have come, told as it happens."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse

from tradewind.accounts import Caller, Jobs
from tradewind.errors import TooManyError, TradewindError
from tradewind.faces.api.shape import Page, answer, paged
from tradewind.faces.server.gate import Asker, Sender
from tradewind.faces.server.reading import Limit, Offset
from tradewind.study import jsonable

router = APIRouter(tags=["jobs"])
LOOK = 0.4
"""Seconds between looks at a job that somebody follows."""
MOST = 20
"""Jobs that one caller may follow at once."""
LONGEST = 900
"""Seconds after which whoever follows a job has to ask again; browsers do."""


@router.get("/jobs", summary="Jobs, the newest first", response_model=Page)
def listed(request: Request, asker: Asker, limit: Limit = 50, offset: Offset = 0) -> JSONResponse:
    """Return the caller's jobs; an operator's are all."""
    jobs, total = asker.office.jobs.listed(asker.caller, limit, offset)
    return paged(request, jobs, total, limit, offset)


@router.get("/jobs/{job}", summary="A job")
def job(asker: Asker, job: str) -> JSONResponse:
    """Return how far a job has come."""
    return answer(asker.office.jobs.job(job, asker.caller))


@router.post("/jobs/{job}/cancel", summary="Cancel a job")
def cancel(asker: Sender, job: str) -> JSONResponse:
    """Cancel a job that waits or runs."""
    return answer(asker.office.jobs.cancel(job, asker.caller))


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "An event `job` at each change."}
}


@router.get("/jobs/{job}/events", summary="Follow a job", response_class=StreamingResponse, responses=_STREAM)
async def events(request: Request, asker: Asker, job: str) -> StreamingResponse:
    """Tell of each change of a job as a server-sent event, until it is over."""
    jobs, caller = asker.office.jobs, asker.caller
    following: Counter[str] = request.app.state.following
    if following[caller.user] >= MOST:
        raise TooManyError("You follow many jobs already", allowed=f"{MOST} at once", do=f"wait {LONGEST} seconds")
    await anyio.to_thread.run_sync(jobs.job, job, caller)  # what cannot be seen is told before the stream begins
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_followed(following, jobs, job, caller), media_type="text/event-stream", headers=headers)


async def _followed(following: Counter[str], jobs: Jobs, id_: str, caller: Caller) -> AsyncIterator[str]:
    following[caller.user] += 1
    try:
        async for each in _told(jobs, id_, caller):
            yield each
    finally:
        following[caller.user] -= 1


async def _told(jobs: Jobs, id_: str, caller: Caller) -> AsyncIterator[str]:
    before = ""
    for _ in range(round(LONGEST / LOOK)):
        try:
            found = await anyio.to_thread.run_sync(jobs.job, id_, caller)
        except TradewindError as error:
            yield f"event: error\ndata: {json.dumps(error.as_dict())}\n\n"
            return
        said = json.dumps(jsonable(found), ensure_ascii=False)
        if said != before:
            yield f"event: job\ndata: {said}\n\n"
            before = said
        if found.state.over:
            return
        await asyncio.sleep(LOOK)
