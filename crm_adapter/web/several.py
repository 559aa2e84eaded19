"""Several rows at once, and taking back what was just done."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.exc import StatementError

from crm_adapter.db.dialects import is_lock_timeout, rejects_values
from crm_adapter.servers import edit
from crm_adapter.servers.undo import undo
from crm_adapter.servers.validation import Invalid, check_values
from crm_adapter.text import page as words
from crm_adapter.text.messages import failure_text
from crm_adapter.web import forms
from crm_adapter.web.bodies import read_form
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError
from crm_adapter.web.responses import Pages

if TYPE_CHECKING:
    from crm_adapter.db.columns import Columns
    from crm_adapter.results import ChangeKind

_MAX_FIELDS: Final = 10_100


def add_routes(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    """Add the form under the table and the button «Отменить»."""

    @api.post("/bulk")
    async def bulk(request: Request, who: Actor = actor) -> Response:
        """One transaction: all ticked rows that can be changed are, with one entry of the log for each value."""
        form = await read_form(request, max_fields=_MAX_FIELDS)
        ticked = [value.partition(":") for value in form.getlist("ids") if isinstance(value, str)]
        rows = {number: day for text, _, day in ticked if (number := forms.number(text)) is not None}
        if not rows:
            raise HostingError(422, "validation", words.TICK_A_ROW)
        columns = hosting.crm.columns
        action, value = str(form.get("action", "")), str(form.get("value", "")).strip()
        if action == "sync":
            hosting.require_timeweb()
            changed, same, failures = await hosting.sync_servers(list(rows), actor=who)
            refused = {row_id: failure_text(code) for row_id, code in failures.items()}
            return _done(pages, request, words.synchronised(len(changed) + len(same), len(changed), refused))
        changes = {row_id: _change(columns, action, value, day) for row_id, day in rows.items()}
        kind: ChangeKind = "paid" if action == "paid" else "edited"
        try:
            done, refused, at = await hosting.crm.perform(lambda crm: edit.change_many(crm.columns, changes, kind, actor=who))
        except StatementError as error:
            if not (is_lock_timeout(error) or rejects_values(error)):
                raise
            code = "row_busy" if is_lock_timeout(error) else "database_rejected"
            raise HostingError(409, "conflict", failure_text(code)) from error
        return _done(pages, request, words.changed(len(done), refused), **({"undo": at.isoformat()} if done else {}))

    @api.post("/undo")
    async def take_back(request: Request, who: Actor = actor) -> Response:
        """Bring back what the same person changed at one instant."""
        form = await read_form(request)
        try:
            at = datetime.fromisoformat(str(form.get("at", ""))).replace(tzinfo=None)
        except ValueError:
            raise HostingError(422, "validation", words.NOTHING_TO_UNDO) from None
        back, kept = await hosting.crm.perform(lambda crm: undo(crm.columns, at, actor=who))
        if not back:
            raise HostingError(409, "conflict", words.CHANGED_SINCE)
        where = "/services" if form.get("section") == "services" else ""
        return pages.done(request, "undone", words.undone(back, kept), where)


def _done(pages: Pages, request: Request, message: str, **undoing: str) -> Response:
    """What became of the ticked rows, which are ticked no longer."""
    reply = pages.done(request, "saved", message, **undoing)
    if "HX-Trigger" in reply.headers:
        reply.headers["HX-Trigger"] = "hosting:untick, hosting:refresh"
    return reply


def _change(columns: Columns, action: str, value: str, day: str) -> edit.Change:
    """What is done to one row; raises HostingError 422 for a value that no row can take."""
    if action == "paid":
        return edit.paid(forms.day(day))
    values: dict[str, dict[str, Any]] = {
        "client": {"client_name": value},
        "project": {"project_id": value},
        "auto": {"auto_sync": True},
        "no_auto": {"auto_sync": False},
        "close": {"status": "closed"},
    }
    if action not in values:
        raise HostingError(422, "validation", words.NO_SUCH_ACTION)
    try:
        check_values(columns, values[action])
    except Invalid as error:
        raise HostingError(422, "validation", forms.problem(str(error))[1]) from None
    return edit.edited(columns, values[action])
