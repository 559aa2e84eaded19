"""Spans and structured log records. Neither ever holds a token, an address of a notifier or text of the API.

Spans appear when `opentelemetry-api` is installed and the host has configured it: `timeweb_crm.run` >
`timeweb_crm.account` > `timeweb_crm.page` and `timeweb_crm.apply`; OpenTelemetry's httpx instrumentation adds the
calls below them. Log records carry their fields in `record.fields` and, for people, in the message.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

try:
    from opentelemetry import trace as _trace
except ImportError:  # spans are optional
    _tracing: Any = None
else:
    _tracing = _trace

__all__ = ["JsonFormatter", "Span", "log", "span"]


class Span:
    """What code inside a span may say: attributes of plain types."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    def set(self, **attributes: str | int | float | bool | None) -> None:
        """Add attributes under `timeweb_crm.`; None is left out."""
        if self._inner is not None:
            for name, value in attributes.items():
                if value is not None:
                    self._inner.set_attribute(f"timeweb_crm.{name}", value)


@contextmanager
def span(name: str, **attributes: str | int | float | bool | None) -> Generator[Span]:
    """A span called `timeweb_crm.<name>`; an exception marks it by its class, because its text may hold secrets."""
    if _tracing is None:
        yield Span()
        return
    tracer = _tracing.get_tracer("crm_adapter")
    with tracer.start_as_current_span(f"timeweb_crm.{name}", record_exception=False, set_status_on_exception=False) as inner:
        wrapped = Span(inner)
        wrapped.set(**attributes)
        try:
            yield wrapped
        except Exception as error:
            inner.set_attribute("error.type", type(error).__name__)
            inner.set_status(_tracing.StatusCode.ERROR)
            raise


def log(logger: logging.Logger, event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with fields: `sync finished account=main run_id=7`."""
    if logger.isEnabledFor(level):
        told = {name: value for name, value in fields.items() if value is not None}
        words = " ".join([event, *(f"{name}={value}" for name, value in told.items())])
        logger.log(level, words, extra={"event": event, "fields": told}, stacklevel=2)


class JsonFormatter(logging.Formatter):
    """One JSON object per record: `at` (UTC), `level`, `logger`, `event` and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record; an exception is told by its traceback, as logging does."""
        document: dict[str, Any] = {
            **getattr(record, "fields", {}),
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", None) or record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)
