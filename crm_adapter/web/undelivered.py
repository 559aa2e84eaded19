"""Notifications that nobody got: what they said, and a button that puts them back into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_adapter.db.dialects import begin_write
from crm_adapter.notify import dead_letters, retry_dead_letters
from crm_adapter.text import page as words
from crm_adapter.text.formats import instant
from crm_adapter.web.responses import Pages

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from crm_adapter.web.context import Hosting

_SHOWN = 100


def add_routes(api: APIRouter, hosting: Hosting, pages: Pages) -> None:
    """Add the list and its button."""

    @api.get("/undelivered")
    async def show(request: Request) -> Response:
        letters = await hosting.crm.transact(lambda session: dead_letters(session, limit=_SHOWN + 1))
        shown = [
            {"at": instant(letter.created_at, hosting.zone_info), "text": letter.text, "error": letter.error or ""}
            for letter in letters[:_SHOWN]
        ]
        context = {"title": words.UNDELIVERED, "letters": shown, "more": len(letters) > _SHOWN}
        return pages.reply(request, "undelivered.html", context)

    @api.post("/undelivered")
    async def retry(request: Request) -> Response:
        """Queue all of them again; they go out with the next dispatch."""
        queued = await hosting.crm.transact(_retry)
        return pages.done(request, "requeued", words.requeued(queued))


def _retry(session: Session) -> int:
    begin_write(session)
    return retry_dead_letters(session)
