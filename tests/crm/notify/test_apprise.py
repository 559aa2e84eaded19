"""Apprise over a real socket."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import dispatch_events
from crm_adapter.notify import NotDelivered, apprise_sinks
from tests.crm.notify.outbox import NOW, later, put, rows
from tests.crm.notify.service import NotificationService
from timeweb_sdk.errors import ConfigurationError

#: Apprise imports every plugin it has, and one of them a module that Python 3.13 drops.
pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")


@pytest.fixture
def service() -> Iterator[NotificationService]:
    with NotificationService().serving() as service:
        yield service


def test_a_digest_arrives_once(
    db: sessionmaker[Session], service: NotificationService, caplog: pytest.LogCaptureFixture
) -> None:
    put(db, kind="removed", name="shop <b>&amp; co</b>")
    service.status = 500
    sinks = apprise_sinks([SecretStr(service.url)])
    with caplog.at_level(logging.DEBUG):
        assert dispatch_events(db, sinks, now=NOW).failed == 1
        service.status = 200
        assert dispatch_events(db, sinks, now=later(minutes=2)).sent == 1

    assert [message["title"] for message in service.attempts] == ["Хостинг: 1 событие"] * 2
    assert service.attempts[1]["message"] == "⚠ shop <b>&amp; co</b>: сервер удалён в Timeweb"
    assert service.attempts[1]["type"] == "warning"
    assert "hunter2" not in caplog.text + repr(sinks) + repr([vars(row) for row in rows(db)])


def test_a_refusal_is_an_error(service: NotificationService) -> None:
    service.status = 403
    (sink,) = apprise_sinks([service.url])
    with pytest.raises(NotDelivered):
        sink("Хостинг", "текст", [])


@pytest.mark.parametrize("url", ["telegramm://123456:SECRET/1", "tgram://SECRET", "discord://SECRET"])
def test_an_unknown_address_is_told_without_its_secrets(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(1), pytest.raises(ConfigurationError, match="HOSTING_NOTIFY_URLS") as raised:
        apprise_sinks([url])
    assert url.partition("://")[0] in str(raised.value)
    assert "SECRET" not in str(raised.value) + caplog.text


def test_a_token_in_the_path_of_a_request_is_in_no_log(service: NotificationService, caplog: pytest.LogCaptureFixture) -> None:
    """Telegram's bot tokens are part of the path, which urllib3 and Apprise log when they log everything."""
    with caplog.at_level(1):
        (sink,) = apprise_sinks([service.url.replace("/hook", "/bot123:SECRET/sendMessage")])
        sink("Хостинг", "текст", [])
    assert len(service.attempts) == 1
    assert "SECRET" not in caplog.text
    with caplog.at_level(1):
        logging.getLogger("urllib3.connectionpool").debug("of somebody else")
    assert "of somebody else" in caplog.text


def test_the_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert apprise_sinks([]) == ()
    with pytest.raises(ImportError, match=r"\[notify\]"):
        apprise_sinks(["json://127.0.0.1"])


def bodies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Apprise is given to send; nothing is sent."""
    sent: list[str] = []

    def notify(self: object, *, body: str, **_: object) -> bool:
        sent.append(body)
        return True

    monkeypatch.setattr("apprise.Apprise.notify", notify)
    return sent


@pytest.mark.parametrize(
    "url",
    [
        "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz",
        "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ],
)
def test_a_name_is_no_markup_where_text_is_markup(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = bodies(monkeypatch)
    (sink,) = apprise_sinks([url])
    name = "@everyone [pay](https://example.com) <!here> **x** #1 `y`"
    sink("Хостинг", name, [])
    for begin in ("@everyone", "](", "<!", "**", "`y"):
        assert begin not in sent[0]
    assert sent[0].replace("\u2060", "") == name


def test_where_text_is_text_it_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = bodies(monkeypatch)
    (sink,) = apprise_sinks(["tgram://123456789:abcdefg_hijklmnop/12315544"])
    sink("Хостинг", "web_1 <b>", [])
    assert sent == ["web_1 <b>"]
