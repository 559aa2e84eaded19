"""What people do to rows on the page. Every action is a form that also works without htmx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_adapter.results import EditResult
from crm_adapter.servers import edit, listing
from crm_adapter.servers.totals import read_sums
from crm_adapter.servers.undo import UNDOABLE
from crm_adapter.text import page as words
from crm_adapter.text.messages import DONE, failure_text
from crm_adapter.web import forms
from crm_adapter.web.addresses import filters_behind
from crm_adapter.web.bodies import read_form
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError, sync_error
from crm_adapter.web.history import who_was_faster
from crm_adapter.web.responses import Pages, is_htmx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crm_adapter.db.rows import StoredRow


def add_routes(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    """Add the buttons of a row, its form, and the form of a new one."""
    _add_rows(api, hosting, actor, pages)
    _add_edit(api, hosting, actor, pages)


def _add_rows(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def finish(request: Request, row_id: int, result: EditResult, key: str, message: str) -> Response:
        if not result.success:
            return await refuse(request, row_id, result.error or failure_text(result.code or ""))
        if not is_htmx(request):
            return pages.done(request, key, message, **undo_of(result))
        return await row_reply(hosting, pages, request, await hosting.row(row_id), message, **undo_of(result))

    async def refuse(request: Request, row_id: int, text: str) -> Response:
        """Show the row as it is now, and why nothing was done."""
        row = await hosting.row(row_id)
        if not is_htmx(request):
            raise HostingError(409, "conflict", text)
        return await row_reply(hosting, pages, request, row, text, tone="bad")

    @api.get("/servers/{row_id}/row")
    async def row(request: Request, row_id: int, field: str = "") -> Response:
        """One row as it is now; `field` gets the focus back after a cancelled edit."""
        return await row_reply(hosting, pages, request, await hosting.row(row_id), "", focus=field)

    @api.post("/servers/{row_id}/sync")
    async def sync(request: Request, row_id: int, who: Actor = actor) -> Response:
        await hosting.row(row_id)
        hosting.require_timeweb()
        result = await hosting.sync_server(row_id, actor=who)
        if not result.success:
            return await refuse(request, row_id, sync_error(result).error)
        if not is_htmx(request):
            return pages.done(request, "synced", "")
        return await row_reply(hosting, pages, request, await hosting.row(row_id), result.message or DONE["synced"])

    @api.post("/servers/{row_id}/paid")
    async def paid(request: Request, row_id: int, who: Actor = actor) -> Response:
        """Move the payment date; two clicks on one page pay once."""
        await hosting.row(row_id)
        expected = forms.day((await read_form(request)).get("expected_date"))
        result = await hosting.edited(lambda columns: edit.mark_paid(columns, row_id, expected_date=expected, actor=who))
        if result.code == "version_conflict":
            return await refuse(request, row_id, words.ALREADY_PAID)
        return await finish(request, row_id, result, "paid", words.PAID)

    @api.post("/servers/{row_id}/auto")
    async def auto(request: Request, row_id: int, who: Actor = actor) -> Response:
        await hosting.row(row_id)
        wanted = (await read_form(request)).get("auto_sync") == "true"
        result = await hosting.edited(
            lambda columns: edit.update_manual(columns, row_id, {"auto_sync": wanted}, expected_version=None, actor=who)
        )
        return await finish(request, row_id, result, "saved", words.auto_sync(wanted))

    @api.post("/servers/{row_id}/unlink")
    async def unlink(request: Request, row_id: int, who: Actor = actor) -> Response:
        await hosting.row(row_id)
        result = await hosting.edited(lambda columns: edit.unlink(columns, row_id, actor=who))
        return await finish(request, row_id, result, "unlinked", DONE["unlinked"])

    @api.post("/servers/{row_id}/remove")
    async def remove(request: Request, row_id: int, who: Actor = actor) -> Response:
        """Only a row that is tied to no server; it can be brought back."""
        result = await hosting.edited(lambda columns: edit.remove_manual(columns, row_id, actor=who))
        if not result.success:
            return await refuse(request, row_id, result.error or failure_text(result.code or ""))
        return pages.done(request, "row_removed", DONE["row_removed"], **undo_of(result))


def _add_edit(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(
        request: Request,
        row: StoredRow,
        field: str,
        values: Mapping[str, str],
        *,
        problem: str = "",
        wrong: Mapping[str, str] | None = None,
    ) -> Response:
        names = await forms.names(hosting)
        context = {
            **names,
            "from_timeweb": row.timeweb_id is not None,
            "item": row,
            "values": values,
            "version": row.edit_version,
            "seen": forms.shown(row),
            "problem": problem,
            "problems": wrong or {},
        }
        base = hosting.base(request)
        if field in forms.CELLS and is_htmx(request):
            inputs = [name for name in forms.CELLS[field] if name == field or name in hosting.crm.columns]
            reply = pages.fragment("cell.html", {"base": base, "field": field, "names": inputs, **context})
            if problem or wrong:
                # The form replaces itself in its cell; only success replaces the row.
                reply.headers.update({"HX-Retarget": "closest td", "HX-Reswap": "innerHTML"})
            return reply
        context |= {
            "title": words.EDIT,
            "heading": words.edit_heading(row.server_name),
            "action": f"{base}/servers/{row.id}/edit",
            "names": forms.fields_of(row),
            "submit": words.SUBMIT_EDIT,
        }
        return pages.reply(request, "form.html", context)

    @api.get("/servers/{row_id}/edit")
    async def form(request: Request, row_id: int, field: str = "") -> Response:
        row = await hosting.row(row_id)
        return await show(request, row, field, forms.shown(row))

    @api.post("/servers/{row_id}/edit")
    async def save(request: Request, row_id: int, field: str = "", who: Actor = actor) -> Response:
        typed = forms.typed(await read_form(request))
        version = typed.pop("edit_version", "")
        seen = {name: typed.pop(f"was_{name}") for name in forms.NEW if f"was_{name}" in typed}
        if typed and typed.keys() <= set(forms.CELLS.get(field, ())):
            # One cell of a human's own: what is as it was is left out where the row is locked.
            before = typed
            changed = {name: value or None for name, value in typed.items() if value != seen.get(name)}
        else:
            before = {**forms.shown(await hosting.row(row_id)), **seen}
            changed = {name: value or None for name, value in typed.items() if name in before and value != before[name]}
        result = await hosting.edited(
            lambda columns: edit.update_manual(
                columns,
                row_id,
                forms.for_edit(changed),
                # Only the same cell is a conflict; a form that does not tell what it showed is compared by its version.
                expected_version=None if changed.keys() <= seen.keys() else forms.number(version),
                as_seen=lambda row: all(forms.shown(row).get(name) == seen[name] for name in changed.keys() & seen.keys()),
                actor=who,
            )
        )
        if result.success:
            if field in forms.CELLS and is_htmx(request) and result.row is not None:
                return await row_reply(hosting, pages, request, result.row, DONE["saved"], focus=field, **undo_of(result))
            return pages.done(request, "saved", DONE["saved"], **undo_of(result))
        now = await hosting.row(row_id)
        kept = {**forms.shown(now), **{name: value for name, value in typed.items() if name in before}}
        if result.code == "version_conflict":
            return await show(request, now, field, kept, problem=await who_was_faster(hosting, row_id, changed))
        name, text = forms.problem(result.error or failure_text(result.code or ""))
        return await show(request, now, field, kept, problem="" if name else text, wrong={name: text} if name else None)

    @api.get("/new")
    async def new(request: Request) -> Response:
        return await show_new(request, forms.blank(hosting.today()), "", {})

    @api.post("/new")
    async def add(request: Request, who: Actor = actor) -> Response:
        typed = forms.typed(await read_form(request))
        values = {name: value for name, value in typed.items() if name in forms.NEW and value}
        result = await hosting.edited(lambda columns: edit.add_manual(columns, values, actor=who))
        if result.success:
            return pages.done(request, "added", DONE["added"])
        name, text = forms.problem(result.error or failure_text(result.code or ""))
        kept = {**forms.blank(hosting.today()), **{key: value for key, value in typed.items() if key in forms.NEW}}
        return await show_new(request, kept, "" if name else text, {name: text} if name else {})

    async def show_new(request: Request, values: Mapping[str, str], problem: str, wrong: Mapping[str, str]) -> Response:
        context = {
            **await forms.names(hosting),
            "from_timeweb": False,
            "title": words.ADD,
            "heading": words.ADD,
            "action": f"{hosting.base(request)}/new",
            "names": forms.NEW,
            "values": values,
            "version": None,
            "seen": dict[str, str](),
            "problem": problem,
            "problems": wrong,
            "submit": words.SUBMIT_ADD,
        }
        return pages.reply(request, "form.html", context)


def undo_of(result: EditResult) -> dict[str, str]:
    """By what an edit can be taken back; nothing where it cannot be."""
    able = result.at is not None and result.changes and UNDOABLE.issuperset(result.changes)
    return {"undo": result.at.isoformat()} if able and result.at is not None else {}


async def row_reply(
    hosting: Hosting,
    pages: Pages,
    request: Request,
    row: StoredRow,
    message: str,
    *,
    tone: str = "good",
    focus: str = "",
    undo: str = "",
) -> Response:
    """One row with the sums and a message beside it."""
    columns, today, filters = hosting.crm.columns, hosting.today(), filters_behind(request)
    names, totals, accounts = await hosting.crm.work_out(
        lambda session: (listing.projects(session, columns, named_only=True), read_sums(session, columns, today, filters)),
        lambda found: (found[0], found[1].totals(), len(found[1].accounts)),
    )
    context = {
        "base": hosting.base(request),
        "item": row,
        "focus": focus,
        "today": today,
        "projects": names,
        "many_accounts": accounts > 1,
        "message": message,
        "message_tone": tone,
        "undo": undo,
        "totals": totals,
        "filters": filters,
    }
    return pages.fragment("row_reply.html", context)
