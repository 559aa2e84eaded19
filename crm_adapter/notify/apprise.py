"""Apprise addresses as sinks: Telegram, e-mail, Slack and what else Apprise knows."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from crm_adapter.results import OutboxEvent

_PROBLEMS = frozenset(
    {
        "balance_low",
        "margin_negative",
        "payment_overdue",
        "removed",
        "status_problem",
        "suspicious_disappearance",
        "sync_failed",
    }
)
"""Kinds of events that ask somebody to act."""


_MARKUP = frozenset({"discord", "guilded", "mmost", "mmosts", "rocket", "rockets", "ryver", "slack", "wxteams", "zulip"})
"""Services that read any text as markup, which Apprise hands on as it is: a name must not be a link or call everybody."""
_MARKUP_HOSTS = ("discord.com/api/webhooks", "discordapp.com/api/webhooks", "hooks.slack.com")
_SPECIAL = re.compile(r"([\\`*_~|\[\]()<>#@!])")


def _as_text(text: str) -> str:
    """Put a word joiner, which nobody sees, behind each character that begins or ends markup: it is a character then."""
    return _SPECIAL.sub("\\1\u2060", text)


class NotDelivered(Exception):
    """A notification service did not take the message; why is in Apprise's own log."""


class AppriseSink:
    """One Apprise address. Every address is a sink of its own, so a broken one does not make the others repeat."""

    def __init__(self, url: str) -> None:
        apprise = _apprise()
        self._service: Any = apprise.Apprise()
        scheme = url.partition("://")[0]
        self._reads_markup = scheme.lower() in _MARKUP or any(host in url for host in _MARKUP_HOSTS)
        # Apprise logs an address that it cannot read as an error, with the tokens in it.
        with _logging_from(logging.CRITICAL):
            known = self._service.add(url)
        if not known:
            raise ConfigurationError(
                f"HOSTING_NOTIFY_URLS: Apprise does not understand an address that starts with {scheme!r}; "
                "write it as in its documentation, e.g. tgram://<bot token>/<chat id>"
            )
        self.name = f"apprise:{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        """Tells the sink from others in the database without keeping what is secret in the address."""

    def __call__(self, title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        """Deliver, or raise `NotDelivered`."""
        problem = any(event.kind in _PROBLEMS for event in events)
        # Below "info" Apprise and urllib3 tell the paths of requests, and a Telegram bot's token is part of its path.
        with _logging_from(logging.INFO):
            delivered = self._service.notify(
                body=_as_text(text) if self._reads_markup else text,
                title=title,
                notify_type="warning" if problem else "info",
                body_format="text",
                interpret_escapes=False,
            )
        if not delivered:
            raise NotDelivered

    def __repr__(self) -> str:
        return f"<AppriseSink {self.name}>"


def apprise_sinks(urls: Iterable[str | SecretStr]) -> tuple[AppriseSink, ...]:
    """One sink for each address, as `HOSTING_NOTIFY_URLS` lists them.

    Raises `ConfigurationError` for an address that Apprise does not know, and `ImportError` that names the extra
    `[notify]` when Apprise is missing and there is an address.
    """
    return tuple(AppriseSink(url.get_secret_value() if isinstance(url, SecretStr) else url) for url in urls)


_level: ContextVar[int] = ContextVar("apprise_log_level", default=logging.NOTSET)


def _is_discreet(record: logging.LogRecord) -> bool:
    return record.levelno >= _level.get()


@contextmanager
def _logging_from(level: int) -> Generator[None]:
    """Keep records below `level` out of every log while Apprise handles an address in this thread or task."""
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).addFilter(_is_discreet)
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def _apprise() -> Any:
    try:
        import apprise
    except ImportError as error:
        raise ImportError("HOSTING_NOTIFY_URLS needs the extra [notify]: pip install 'timeweb-sdk[notify]'") from error
    return apprise
