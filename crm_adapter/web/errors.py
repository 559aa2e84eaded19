"""Error replies: `{success: false, code, error}` for programs, a page with the same words for people."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from python_multipart.exceptions import FormParserError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from crm_adapter.text import refusals
from crm_adapter.text.messages import DATABASE_UNAVAILABLE, failure_text
from crm_adapter.text.problems import explain
from timeweb_sdk.errors import TimewebError, UnauthorizedError

if TYPE_CHECKING:
    from starlette.routing import Match
    from starlette.types import Receive, Scope, Send

    from crm_adapter.results import EditResult, ServerSyncResult

logger = logging.getLogger("crm_adapter.web")

_EDIT_STATUSES = {
    "not_found": 404,
    "version_conflict": 409,
    "conflict": 409,
    "linked": 409,
    "not_linked": 409,
    "validation": 422,
    "row_busy": 503,
}


class HostingError(Exception):
    """Ends a request with an error reply; `details` are added to its body."""

    def __init__(self, status: int, code: str, error: str, /, **details: Any) -> None:
        self.status = status
        self.code = code
        self.error = error
        self.details = details
        super().__init__(error)

    def reply(self) -> JSONResponse:
        """The reply for programs; `detail` repeats `error` under the name that front ends of FastAPI read."""
        told = {"code": self.code, "error": self.error, "detail": self.error}
        return JSONResponse({"success": False, **told, **self.details}, self.status)


def edit_error(result: EditResult) -> HostingError:
    """The error reply for an edit that did not happen."""
    code = result.code or "validation"
    details = {"server": result.server, "edit_version": result.edit_version} if code == "version_conflict" else {}
    return HostingError(_EDIT_STATUSES.get(code, 422), code, result.error or failure_text(code), **details)


def sync_error(result: ServerSyncResult) -> HostingError:
    """The error reply for one server that could not be synchronised."""
    code = result.code or "failed"
    status = {"not_found": 404, "not_linked": 409, "server_missing": 404, "already_running": 409, "not_configured": 503}.get(
        code, 502
    )
    return HostingError(status, code, result.message or failure_text(code))


_RUN_STATUSES = {"already_running": 409, "not_configured": 503, "database_unavailable": 503}


def run_error(code: str, text: str, **details: Any) -> HostingError:
    """The error reply for a run that did nothing: what the report holds stands beside it."""
    return HostingError(_RUN_STATUSES.get(code, 502), code, text, **details)


def upstream_error(error: TimewebError) -> HostingError:
    """The error reply for a live request that Timeweb did not answer; never the text of the error, which may echo input."""
    code = "unauthorized" if isinstance(error, UnauthorizedError) else "upstream_unavailable"
    return HostingError(502, code, failure_text(code))


UNREADABLE = HostingError(400, "validation", refusals.UNREADABLE_BODY)
"""A body that is no JSON and no form."""

Answer = Callable[[Request, HostingError], Response]


class HostingRoute(APIRoute):
    """Answers errors in our form without exception handlers, which belong to the host's application."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take HEAD as GET: monitors ask so, and the server leaves the body out."""
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": "GET"}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what `matches` took."""
        if scope["method"] == "HEAD" and "GET" in (self.methods or ()):
            await self.app(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    @staticmethod
    def answer(_: Request, error: HostingError) -> Response:
        """The reply for programs."""
        return error.reply()

    @classmethod
    def answering(cls, answer: Answer) -> type[HostingRoute]:
        """The class for routes that tell errors in another way."""
        return type(cls.__name__, (cls,), {"answer": staticmethod(answer)})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                response = await handle(request)
            except HTTPException as error:
                # FastAPI's own word for a body that it cannot read; 401 and 403 are the host's.
                if error.status_code != 400:
                    raise
                response = self.answer(request, UNREADABLE)
            except FormParserError:  # older releases of Starlette let it pass
                response = self.answer(request, UNREADABLE)
            except HostingError as error:
                response = self.answer(request, error)
            except RequestValidationError as error:
                response = self.answer(request, HostingError(422, "validation", explain(error.errors()[:10])))
            except DBAPIError as error:
                # The class alone: the text of a database error holds parameters.
                logger.error("the database failed: %s", type(error.orig).__name__)
                response = self.answer(request, HostingError(503, "database_unavailable", DATABASE_UNAVAILABLE))
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            return response

        return handler
