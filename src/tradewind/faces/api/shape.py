"""Shape: what every answer of the API looks like, errors and pages of lists included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_origin
from urllib.parse import urlencode

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tradewind.errors import BadInputError
from tradewind.study import jsonable


class ErrorBody(BaseModel):
    """What is wrong, what was given, what is allowed and what to do."""

    code: str = Field(description="Stable name of the kind of error.")
    what: str = Field(description="What is wrong, as a sentence without its full stop.")
    got: str | None = Field(description="What was given.")
    allowed: str | None = Field(description="What would have been accepted.")
    do: str | None = Field(description="What to do next.")


class ErrorShape(BaseModel):
    """The one shape of every error."""

    error: ErrorBody


class Page(BaseModel):
    """A page of a list."""

    items: list[Any] = Field(description="The items of this page.")
    total: int = Field(description="How many there are in all.")
    next: str | None = Field(description="Address of the next page, or null.")


_SAID = {
    400: "Something cannot be used as given.", 401: "Nobody known asks.", 403: "Not for this caller.",
    404: "There is no such thing, or the caller may not see it.", 405: "The address does not take the method.",
    409: "It contradicts what stands, or somebody else is at it.", 422: "The data cannot answer this.",
    429: "Asked too often.",
}  # fmt: skip
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorShape, "description": said} for status, said in _SAID.items()
}


def understood(request: Request) -> None:
    """Refuse a parameter that the address does not have, or one of a single value that is given twice.

    Raises:
        BadInputError: If there is one; ignored, it would answer another question.
    """
    known = _parameters(request.scope["route"].dependant)
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            raise BadInputError("The address has no such parameter", got=name, allowed=sorted(known) or "none")
        if count > 1 and not known[name]:
            raise BadInputError("A parameter of one value is given more than once", got=name, do="give it once")


def _parameters(asked: Dependant) -> dict[str, bool]:
    """Return the parameters of an address by name: whether each may be given more than once."""
    own = {each.alias: get_origin(each.field_info.annotation) is list for each in asked.query_params}
    return own | {name: many for part in asked.dependencies for name, many in _parameters(part).items()}


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a value as JSON: money as strings, so that no cent is lost; days in ISO 8601."""
    return JSONResponse(jsonable(value), status, headers)


def paged(request: Request, items: Sequence[Any], total: int, limit: int, offset: int) -> JSONResponse:
    """Return a page of a list, with the address of the next one."""
    following = None
    if offset + limit < total:
        query = [(name, value) for name, value in request.query_params.multi_items() if name not in ("limit", "offset")]
        following = f"{request.url.path}?{urlencode([*query, ('limit', limit), ('offset', offset + limit)])}"
    return answer({"items": list(items), "total": total, "next": following})
