"""The first page of creators: their own sessions and offers."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from tradewind.faces.console.rendering import entity, page
from tradewind.faces.server.gate import Asking


def home(request: Request, asker: Asking) -> Response:
    """Lead a creator to their page, or show the pages of all as whom they see."""
    creators = sorted(asker.caller.scope.creators or ())
    if len(creators) == 1:
        return RedirectResponse(entity("creators", creators[0]), 303)
    pages = [(id_, entity("creators", id_)) for id_ in creators]
    return page(request, "creators.html", "Today", pages=pages, origin=asker.store.provenance)
