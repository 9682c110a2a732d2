"""Jobs: what takes longer than a page may, and how far it has come."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from tradewind.faces.console.rendering import page
from tradewind.faces.server.gate import Asker, Sender, local
from tradewind.faces.server.reading import Limit, Offset

router = APIRouter()


@router.get("/jobs")
def listed(request: Request, asker: Asker, limit: Limit = 50, offset: Offset = 0) -> Response:
    """Show one's jobs, the newest first."""
    jobs, total = asker.office.jobs.listed(asker.caller, limit, offset)
    return page(request, "jobs.html", "Jobs", jobs=jobs, total=total, limit=limit, offset=offset)


@router.get("/jobs/{job}")
def job(request: Request, asker: Asker, job: str) -> Response:
    """Show a job."""
    return page(request, "job.html", "Job", job=asker.office.jobs.job(job, asker.caller))


@router.post("/jobs/{job}/cancel")
def cancel(request: Request, asker: Sender, job: str) -> Response:
    """Cancel a job, and go back to where that was said."""
    asker.office.jobs.cancel(job, asker.caller)
    back = request.headers.get("referer", "")
    base = str(request.base_url).rstrip("/")
    return RedirectResponse(local(back.removeprefix(base)) if back.startswith(f"{base}/") else "/jobs", 303)
