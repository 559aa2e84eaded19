"""Decisions into the database: chunks, one transaction each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.exc import StatementError

from crm_adapter import messages
from crm_adapter.dialects import rejects_values
from crm_adapter.flow import Flow, transaction
from crm_adapter.results import ServerError
from crm_adapter.sync.decide import Decision
from crm_adapter.sync.store import CHUNK, Writer
from crm_adapter.telemetry import span

__all__ = ["apply_decisions"]


def apply_decisions(
    writer: Writer, decisions: Sequence[Decision], on_progress: Callable[[int, int], object] | None = None
) -> Flow[tuple[list[Decision], list[ServerError]]]:
    """Apply in chunks, one transaction each; a chunk that the database rejects is applied row by row."""
    # Rows with the same columns to write share one statement; what changes nothing comes last.
    ordered = sorted(decisions, key=lambda d: (d.row is not None, not d.host, d.action, tuple(sorted(d.host))))
    total, progress = len(ordered), 0
    done: list[Decision] = []
    errors: list[ServerError] = []
    for start in range(0, total, CHUNK):
        chunk = ordered[start : start + CHUNK]
        progress += len(chunk)
        try:
            done += yield from _apply_chunk(writer, chunk, progress, total)
        except StatementError as error:
            if not rejects_values(error):
                raise
            for decision in chunk:
                try:
                    done += yield from _apply_chunk(writer, [decision], progress, total)
                except StatementError as rejection:
                    if not rejects_values(rejection):
                        raise
                    errors.append((yield from _rejected(writer, decision)))
        if on_progress is not None:
            on_progress(progress, total)
    listed = {decision.timeweb_id: position for position, decision in enumerate(decisions)}
    done.sort(key=lambda decision: listed[decision.timeweb_id])
    return done, errors


def _apply_chunk(writer: Writer, chunk: Sequence[Decision], progress: int, total: int) -> Flow[list[Decision]]:
    with span("apply", account=writer.rules.account, rows=len(chunk)):
        return (yield from transaction(lambda s: writer.apply(s, chunk, progress=progress, total=total)))


def _rejected(writer: Writer, decision: Decision) -> Flow[ServerError]:
    """Why one row was refused: somebody else imported the server meanwhile, or the host's own constraint."""
    doubled = decision.row is None and (yield from transaction(lambda s: writer.is_taken(s, decision.timeweb_id)))
    code = "already_imported" if doubled else "database_rejected"
    return ServerError(decision.timeweb_id, decision.name, messages.fault_text(code), code)
