"""Apprise over a real socket: its `json://` service posts to a server of ours."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import dispatch_events
from crm_adapter.notify import NotDelivered, apprise_sinks
from tests.notify.support import NOW, later, put, rows
from timeweb_sdk.errors import ConfigurationError

#: Apprise imports every plugin it has, and one of them a module that Python 3.13 drops.
pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")


class Service:
    """What a notification service got; `status` is what it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                service.got.append(json.loads(body))
                self.send_response(service.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://user:hunter2@127.0.0.1:{self.http.server_address[1]}/hook"


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield service
    service.http.shutdown()
    thread.join()
    service.http.server_close()


def test_a_digest_arrives_once(db: sessionmaker[Session], service: Service, caplog: pytest.LogCaptureFixture) -> None:
    put(db, kind="removed", name="shop <b>&amp; co</b>")
    service.status = 500
    sinks = apprise_sinks([SecretStr(service.url)])
    with caplog.at_level(logging.DEBUG):
        assert dispatch_events(db, sinks, now=NOW).failed == 1
        service.status = 200
        assert dispatch_events(db, sinks, now=later(minutes=2)).sent == 1

    assert [message["title"] for message in service.got] == ["Хостинг: 1 событие"] * 2
    assert service.got[1]["message"] == "⚠ shop <b>&amp; co</b>: сервер удалён в Timeweb"
    assert service.got[1]["type"] == "warning"
    assert "hunter2" not in caplog.text + repr(sinks) + repr([vars(row) for row in rows(db)])


def test_a_refusal_is_an_error(service: Service) -> None:
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


def test_a_token_in_the_path_of_a_request_is_in_no_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Telegram's bot tokens are part of the path, which urllib3 and Apprise log when they log everything."""
    with caplog.at_level(1):
        (sink,) = apprise_sinks([service.url.replace("/hook", "/bot123:SECRET/sendMessage")])
        sink("Хостинг", "текст", [])
    assert len(service.got) == 1
    assert "SECRET" not in caplog.text
    with caplog.at_level(1):
        logging.getLogger("urllib3.connectionpool").debug("of somebody else")
    assert "of somebody else" in caplog.text


def test_the_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert apprise_sinks([]) == ()
    with pytest.raises(ImportError, match=r"\[notify\]"):
        apprise_sinks(["json://127.0.0.1"])
