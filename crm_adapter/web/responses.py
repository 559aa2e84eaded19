"""Replies that people see: whole pages, parts for htmx, redirects after forms, and errors in either form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from crm_adapter.text import page as words
from crm_adapter.web.errors import HostingError
from crm_adapter.web.security import frame_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crm_adapter.web.context import Hosting
    from crm_adapter.web.templating import Renderer

_OURS = {"X-Hosting": "1", "Vary": "HX-Request"}
"""Tells our replies from a login page of the host."""


def is_htmx(request: Request) -> bool:
    """Whether htmx asks, and wants a part."""
    return request.headers.get("hx-request") == "true" and "hx-history-restore-request" not in request.headers


class Pages:
    """Builds the replies of one router."""

    def __init__(self, hosting: Hosting, renderer: Renderer) -> None:
        self.hosting = hosting
        self.renderer = renderer
        self.headers = {**_OURS, **frame_headers(hosting.trusted_origins)}

    def reply(
        self, request: Request, template: str, context: Mapping[str, Any], *, status: int = 200, part: str | None = None
    ) -> HTMLResponse:
        """A whole page, or to htmx the `part` of it (by default the page without its frame)."""
        whole = {"base": self.hosting.base(request), "request": request, **context}
        if is_htmx(request):
            return self.fragment(part or template, whole, status=status)
        return HTMLResponse(self.renderer.page(template, whole), status, headers=self.headers)

    def fragment(
        self, template: str, context: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> HTMLResponse:
        """A part of a page."""
        return HTMLResponse(
            self.renderer.fragment(template, dict(context)), status, headers={**self.headers, **(headers or {})}
        )

    def done(self, request: Request, key: str, message: str, at: str = "", /, **query: int | str) -> Response:
        """The end of a form: without htmx a redirect to the page `at`; in a dialog close it and re-read the table."""
        if not is_htmx(request):
            more = "".join(f"&{name}={quote(str(value))}" for name, value in query.items())
            return RedirectResponse(f"{self.hosting.base(request) + at or '/'}?done={quote(key)}{more}", 303, headers=_OURS)
        # The event closes the dialog first, then the table asks for itself.
        undo = {"undo": str(query["undo"]), "base": self.hosting.base(request)} if "undo" in query else None
        return self.toast(message, undo, headers={"HX-Trigger": "hosting:close, hosting:refresh"})

    def toast(
        self,
        message: str,
        undo: Mapping[str, str] | None = None,
        *,
        tone: str = "good",
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Only a message; `undo` (with the `base` of its form) offers to take back what it tells of."""
        context = {"message": message, "message_tone": tone, **(undo or {})}
        return self.fragment("toast.html", context, headers={"HX-Reswap": "none", **(headers or {})})

    def error(self, request: Request, error: HostingError) -> Response:
        """An error in the form that the asker understands."""
        if is_htmx(request):
            return self.toast(error.error, tone="bad")
        heading = words.HEADINGS.get(error.status, words.FAILED)
        context = {"title": heading, "heading": heading, "problem": error.error}
        return self.reply(request, "error.html", context, status=error.status)
