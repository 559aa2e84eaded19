"""Bodies of requests: read behind the login of the host, and only so much of them.

FastAPI parses what a handler declares as its body before it asks any dependency, the login check among them. So no handler
here declares one: it depends on `json_body`, or reads a form by `read_form`, which run after the guards of the router.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import Request as Reader

from crm_adapter.text import refusals
from crm_adapter.text.problems import explain
from crm_adapter.web.errors import UNREADABLE, HostingError

if TYPE_CHECKING:
    from starlette.datastructures import FormData

Body = TypeVar("Body", bound=BaseModel)

LIMIT: Final = 1_000_000
"""Bytes of a body: an import of 10,000 servers, each with a row to link, has 400,000."""

_TOO_LARGE = HostingError(413, "too_large", refusals.TOO_LARGE_A_BODY)


async def _read(request: Request) -> bytes:
    """The body, refused by its announced length, or as soon as more than that has come; raises HostingError 413."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > LIMIT:
        raise _TOO_LARGE
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            raise _TOO_LARGE
    return bytes(body)


async def read_form(request: Request, *, max_fields: int = 1000) -> FormData:
    """The form that a page posts; raises HostingError 413 for one that is too large, 400 for one that cannot be read."""
    body = await _read(request)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return await Reader(request.scope, receive).form(max_fields=max_fields)


def json_body(model: type[Body]) -> Any:
    """A dependency that gives the JSON body as `model`.

    Raises HostingError: 413 if it is too large, 422 if it does not fit, with the fields named in Russian.
    """

    async def parse(request: Request) -> Body:
        try:
            document = json.loads(await _read(request))
        except RecursionError:
            raise UNREADABLE from None
        except ValueError:
            raise HostingError(422, "validation", explain([{"loc": (), "type": "json_invalid", "msg": ""}])) from None
        try:
            return model.model_validate(document)
        except ValidationError as error:
            raise HostingError(422, "validation", explain(dict(one) for one in error.errors()[:10])) from None

    reader: Callable[[Request], Awaitable[Body]] = parse
    return Depends(reader)


def documented(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is read by `json_body`: the host's own API page shows what it takes."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
