"""Replies of any number of rows: which ones is asked once, then they are read, written and sent piece by piece.

No transaction is open while a piece is on its way, however slow the reader is, and the event loop does none of the work.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from fastapi.responses import Response, StreamingResponse
from sqlalchemy.exc import DBAPIError

from crm_adapter.servers.listing import choose_rows
from crm_adapter.steps import Cpu, transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns
    from crm_adapter.installation import Installation
    from crm_adapter.servers.listing import Choice, Filters
    from crm_adapter.steps import Flow
    from crm_adapter.web.context import Hosting

T = TypeVar("T")

logger = logging.getLogger(__name__)

PIECE: Final = 250
"""Rows that are read and written at once."""


async def choose(hosting: Hosting, filters: Filters) -> Choice:
    """The rows that match; `size` 0 takes all of them."""
    columns, today = hosting.crm.columns, hosting.today()
    return await hosting.crm.transact(lambda session: choose_rows(session, columns, filters, today=today))


async def reply(
    hosting: Hosting,
    ids: Sequence[int],
    read: Callable[[Session, Columns, Sequence[int]], Sequence[T]],
    write: Callable[[Sequence[T]], bytes],
    *,
    frame: tuple[bytes, bytes] = (b"", b""),
    separator: bytes = b"",
    media_type: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What `write` makes of what `read` finds, within `frame`.

    The first piece is made before the reply begins, so that what is wrong can still be told by a status.
    """
    pieces = [ids[start : start + PIECE] for start in range(0, len(ids), PIECE)] or [()]
    head, tail = frame
    first = await hosting.crm.perform(_piece(pieces[0], read, write))
    if len(pieces) == 1:
        return Response(head + first + tail, media_type=media_type, headers=dict(headers or {}))

    async def body() -> AsyncIterator[bytes]:
        yield head + first
        for piece in pieces[1:]:
            try:
                written = await hosting.crm.perform(_piece(piece, read, write))
            except DBAPIError as error:
                # The class alone, as for every other reply; whoever reads finds that the end is missing.
                logger.error("the database failed: %s", type(error.orig).__name__)
                raise RuntimeError("the database failed in the middle of a reply") from None
            if written:
                yield separator + written
        yield tail

    return StreamingResponse(body(), media_type=media_type, headers=dict(headers or {}))


def _piece(
    ids: Sequence[int],
    read: Callable[[Session, Columns, Sequence[int]], Sequence[T]],
    write: Callable[[Sequence[T]], bytes],
) -> Callable[[Installation], Flow[bytes]]:
    async def flow(crm: Installation) -> bytes:
        rows = await transaction(lambda session: read(session, crm.columns, ids)) if ids else ()
        return await Cpu(lambda: write(rows))

    return flow
