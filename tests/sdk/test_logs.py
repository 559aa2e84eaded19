"""What `TIMEWEB_LOG` switches on."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.sdk.stub_server import StubServer, answer, error, html
from tests.sdk.worlds import TOKEN, SkippingClock, World
from timeweb_sdk import AsyncTimeweb, ConfigurationError, Timeweb, errors

SERVER = {"server": {"id": 1, "name": "web"}, "response_id": "r-1"}
CURL = 5


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """The level and the handlers are as before in the end."""
    ours = logging.getLogger("timeweb_sdk")
    level, handlers = ours.level, [*ours.handlers]
    yield ours
    ours.setLevel(level)
    ours.handlers[:] = handlers


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "timeweb_sdk" and record.levelno == level]


@pytest.mark.parametrize(("value", "level"), [("info", logging.INFO), (" DEBUG ", logging.DEBUG), ("curl", CURL)])
@pytest.mark.parametrize("kind", [Timeweb, AsyncTimeweb])
def test_the_variable_sets_the_level(
    kind: type[object], value: str, level: int, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind()
    assert logger.level == logging.NOTSET
    monkeypatch.setenv("TIMEWEB_LOG", value)
    kind()
    assert logger.level == level


def test_another_value_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEWEB_LOG", "verbose")
    with pytest.raises(ConfigurationError, match="TIMEWEB_LOG='verbose': give one of info, debug, curl"):
        Timeweb()


@pytest.mark.parametrize("own", [False, True])
def test_lines_go_to_stderr_once_unless_the_program_has_handlers(own: bool, server: StubServer) -> None:
    server.play(answer(200, SERVER))
    setup = "logging.basicConfig(format='mine: %(message)s')" if own else ""
    code = f"import logging; from timeweb_sdk import Timeweb; {setup}\nfor _ in 'ab': Timeweb().servers.get(1)"
    environment = {**os.environ, "TIMEWEB_LOG": "info", "TIMEWEB_API_TOKEN": TOKEN, "TIMEWEB_BASE_URL": server.url}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    told = [line for line in done.stderr.splitlines() if "servers.get(1)" in line]
    assert len(told) == 2
    assert all(line.startswith("mine: ") == own for line in told)


def test_a_call_is_one_line_with_its_attempts_and_its_id(
    world: World, server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "timeweb_sdk")
    server.play(html(503), answer(200, SERVER), error(404, "not_found", response_id="r-2"))
    world.run(lambda tw: tw.servers.get(1), base_url=server.url)
    with pytest.raises(errors.NotFoundError):
        world.run(lambda tw: tw.servers.get(2), base_url=server.url)
    calls = [re.sub(r"\d+\.\d+ s", "… s", line) for line in lines(caplog, logging.INFO) if line.startswith("servers")]
    assert calls == [
        "servers.get(1): 200 after 2 attempts in … s, response_id r-1",
        "servers.get(2): NotFoundError after 1 attempt in … s, response_id r-2",
    ]
    attempts = [re.sub(r"\d+\.\d+ s", "… s", line) for line in lines(caplog, logging.DEBUG)]
    assert attempts == [
        "getServer GET /api/v1/servers/1 attempt 1: 503 in … s",
        "getServer GET /api/v1/servers/1 attempt 2: 200 in … s, response_id r-1",
        "getServer GET /api/v1/servers/2 attempt 1: 404 in … s, response_id r-2",
    ]


def test_a_request_as_a_command_sends_the_same_from_a_shell(
    world: World, server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(CURL, "timeweb_sdk")
    comment = 'it\'s "quoted" $HOME `id` \\ строка'
    sent = {"comment": comment, "n": [1, None]}
    world.run(lambda tw: tw.request("POST", "/api/v1/x%20y", query={"a": ["1&2", "ё"]}, json=sent), base_url=server.url)
    (line,) = lines(caplog, CURL)
    assert TOKEN not in line
    words = shlex.split(line)
    target = words[words.index("POST") + 1].removeprefix(server.url)
    assert target == server.arrivals[0].target
    assert words[words.index("--data") + 1] == json.dumps(sent, ensure_ascii=False)
    assert '"Authorization: Bearer $TIMEWEB_API_TOKEN"' in line
    # A shell is the judge: it must expand the token alone.
    program = f"curl() {{ printf '%s\\n' \"$@\"; }}; TIMEWEB_API_TOKEN={TOKEN}; {line}"
    told = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"Authorization: Bearer {TOKEN}" in told
    assert json.dumps(sent, ensure_ascii=False) in told


def upload(content: Any, tw: Any) -> Any:
    return tw.images.upload("id", body=content)


def test_a_command_shows_no_secret(
    world: World, server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(CURL, "timeweb_sdk")
    body = {"root_pass": "sesame-1", "nested": [{"cloud_init": "sesame-2"}], "name": "web"}
    query = {"hash": "sesame-3", "code": "sesame-4", "password": "sesame-5"}
    world.run(lambda tw: tw.request("POST", "/x", query=query, json=body), base_url=server.url)
    for content in (b"sesame-6", io.BytesIO(b"sesame-7")):
        world.run(partial(upload, content), base_url=server.url)
    commands = lines(caplog, CURL)
    assert len(commands) == 3
    assert "sesame" not in "".join(commands)
    assert '"name": "web"' in commands[0]
    assert all(command.endswith("--data-binary @FILE") for command in commands[1:])


def test_debug_does_not_write_commands(server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "timeweb_sdk")
    with Timeweb(TOKEN, base_url=server.url) as tw:
        tw.request("POST", "/x", json={})
    assert lines(caplog, CURL) == []
