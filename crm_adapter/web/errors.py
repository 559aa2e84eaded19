"""Error replies: ``{success: false, code, error}`` for programs, a page with the same words for people."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from crm_adapter.text.messages import failure_text
from crm_adapter.web.schemas import explain
from timeweb_sdk.errors import TimewebError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request

    from crm_adapter.results import EditResult

logger = logging.getLogger("crm_adapter.web")

_EDIT_STATUSES = {"not_found": 404, "version_conflict": 409, "conflict": 409, "not_linked": 409, "validation": 422}


class HostingError(Exception):
    """Ends a request with an error reply; ``details`` are added to its body."""

    def __init__(self, status: int, code: str, error: str, **details: Any) -> None:
        self.status = status
        self.code = code
        self.error = error
        self.details = details
        super().__init__(error)

    def reply(self) -> JSONResponse:
        """The reply for programs."""
        body = {"success": False, "code": self.code, "error": self.error, **self.details}
        return JSONResponse(body, self.status, {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def edit_error(result: EditResult) -> HostingError:
    """The error reply for an edit that did not happen."""
    code = result.code or "validation"
    details = {"server": result.server, "edit_version": result.edit_version} if code == "version_conflict" else {}
    return HostingError(_EDIT_STATUSES.get(code, 422), code, result.error or failure_text(code), **details)


def upstream_error(error: TimewebError) -> HostingError:
    """The error reply for a live request that Timeweb did not answer; never the text of the error, which may echo input."""
    code = "unauthorized" if isinstance(error, UnauthorizedError) else "upstream_unavailable"
    return HostingError(502, code, failure_text(code))


#: A body that is no JSON and no form.
UNREADABLE = HostingError(400, "validation", "Тело запроса не читается")


class HostingRoute(APIRoute):
    """Answers errors in our form without exception handlers, which belong to the host's application."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                response = await handle(request)
                response.headers.setdefault("Cache-Control", "no-store")
                response.headers.setdefault("X-Content-Type-Options", "nosniff")
                return response
            except HTTPException as error:
                # FastAPI's own word for a body that it cannot read; 401 and 403 are the host's.
                if error.status_code != 400:
                    raise
                return UNREADABLE.reply()
            except HostingError as error:
                return error.reply()
            except RequestValidationError as error:
                return HostingError(422, "validation", explain(error.errors()[:10])).reply()
            except DBAPIError as error:
                # The class alone: the text of a database error holds parameters.
                logger.error("the database failed: %s", type(error.orig).__name__)
                return HostingError(503, "database_unavailable", "База данных недоступна, попробуйте ещё раз").reply()

        return handler
