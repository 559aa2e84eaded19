"""Where the token comes from and which way it goes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.stub_server import StubServer, error
from tests.sdk.worlds import TOKEN, SkippingClock, World
from timeweb_sdk import AsyncTimeweb, ConfigurationError, Timeweb, UnauthorizedError
from timeweb_sdk._core import settings

VARIABLES = ["TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN", "TWC_TOKEN"]
PROFILES = """\
# written by hand, read by two
[default]
token = "token-of-default"

[shop]
token = token%of-the-shop
other = x

["in quotes"]
token = 'token-in-quotes'

[empty]
token =

[nothing]
"""


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*VARIABLES, "TWC_PROFILE", "TWC_CONFIG_FILE", "TIMEWEB_BASE_URL", "TIMEWEB_ALLOW_HTTP"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / ".twcrc").write_text(PROFILES, encoding="utf-8")
    monkeypatch.setattr(settings, "_named", set())


def sent(world: World, server: StubServer, **options: Any) -> str:
    world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, **options)
    return server.arrivals[-1].headers["authorization"].removeprefix("Bearer ")


def test_the_order_of_the_sources(
    world: World, server: StubServer, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in reversed(VARIABLES):
        monkeypatch.setenv(name, f"from-{name}")
        assert sent(world, server, token=None) == f"from-{name}"
    assert sent(world, server, token=TOKEN) == TOKEN


@pytest.mark.parametrize(
    ("name", "token"),
    [(None, "token-of-default"), ("shop", "token%of-the-shop"), ("in quotes", "token-in-quotes")],
)
@pytest.mark.parametrize("kind", [Timeweb, AsyncTimeweb])
def test_a_profile(kind: type[Timeweb | AsyncTimeweb], name: str | None, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEWEB_API_TOKEN", "another-token")
    client = kind.from_profile(name, read_only=True)
    assert type(client) is kind
    assert client.token_fingerprint == Timeweb(token).token_fingerprint
    assert token not in repr(vars(client))


def test_the_variables_of_the_command_line_name_file_and_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.toml"
    other.write_text("﻿[main]\r\ntoken = 'token-of-main'\r\n", encoding="utf-8")
    monkeypatch.setenv("TWC_CONFIG_FILE", str(other))
    monkeypatch.setenv("TWC_PROFILE", "main")
    assert Timeweb.from_profile().token_fingerprint == Timeweb("token-of-main").token_fingerprint
    shop = Timeweb.from_profile("shop", file="~/.twcrc")
    assert shop.token_fingerprint == Timeweb("token%of-the-shop").token_fingerprint


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (None, None, "cannot be read"),
        (PROFILES, "shopp", "no profile 'shopp' (there is default, empty, in quotes, nothing, shop): give one of them"),
        ("", None, "(there is none)"),
        (PROFILES, "empty", "the profile 'empty' of"),
        (PROFILES, "nothing", "holds no token: give"),
        ("token = sesame-without-a-section", None, "is no file of profiles: give"),
        ("[default]\n  sesame = \x00\n [", None, "give"),
        ("[default]\ntoken = ses ame", None, "contains whitespace: give"),
        (b"[default]\ntoken = sesame\xff", None, "is no file of profiles: give"),
    ],
)
def test_a_profile_that_cannot_be_had_names_file_and_remedy_but_no_secret(
    content: str | bytes | None, name: str | None, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "profiles"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError) as caught:
        Timeweb.from_profile(name, file=file)
    assert says in str(caught.value)
    assert str(file) in str(caught.value)
    assert "ame" not in str(caught.value).replace(str(file), "").replace("name", "")
    assert caught.value.__context__ is None


def test_a_refused_token_is_said_to_come_from_its_profile(server: StubServer, clock: SkippingClock) -> None:
    server.script = [error(401, "unauthorized")]
    with Timeweb.from_profile("shop", base_url=server.url) as tw, pytest.raises(UnauthorizedError, match="profile 'shop' of"):
        tw.servers.get(1)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "http://127.8.9.1",
        "http://[::1]:1",
        "http://localhost:1",
        "HTTP://LOCALHOST",
        "https://example.com",
    ],
)
def test_the_token_goes_encrypted_or_stays_on_this_machine(url: str) -> None:
    Timeweb(TOKEN, base_url=url)
    AsyncTimeweb(TOKEN, base_url=url)


@pytest.mark.parametrize("url", ["http://example.com", "HTTP://Example.com", "http://10.0.0.1", "http://127.1", "http://[::2]"])
def test_another_way_must_be_allowed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Timeweb, AsyncTimeweb):
        with pytest.raises(ConfigurationError, match="unencrypted"):
            kind(TOKEN, base_url=url)
        kind(TOKEN, base_url=url, allow_http=True)
    monkeypatch.setenv("TIMEWEB_ALLOW_HTTP", "yes")
    Timeweb(TOKEN, base_url=url)
    with pytest.raises(ConfigurationError, match="unencrypted"):
        Timeweb(TOKEN, base_url=url, allow_http=False)
    monkeypatch.setenv("TIMEWEB_ALLOW_HTTP", "0")
    with pytest.raises(ConfigurationError, match="unencrypted"):
        Timeweb(TOKEN, base_url=url)


def test_the_first_line_names_a_host_that_is_not_timewebs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "timeweb_sdk")
    Timeweb(TOKEN)
    Timeweb(TOKEN, base_url="https://API.timeweb.cloud/")
    assert caplog.records == []
    Timeweb(TOKEN, base_url="https://gateway.example.com")
    monkeypatch.setenv("TIMEWEB_BASE_URL", "https://elsewhere.example.com")
    for _ in range(2):
        Timeweb(TOKEN)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["INFO", "WARNING"]
    assert "https://gateway.example.com" in told[0][1]
    assert "https://elsewhere.example.com" in told[1][1]
    assert "TIMEWEB_BASE_URL" in told[1][1]


@pytest.mark.parametrize(("application", "agent"), [(None, "timeweb-sdk/"), (" billing/2.1 ", "billing/2.1 timeweb-sdk/")])
def test_the_application_names_itself(
    application: str | None, agent: str, world: World, server: StubServer, clock: SkippingClock
) -> None:
    world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, application=application)
    assert server.arrivals[0].headers["user-agent"].startswith(agent)


@pytest.mark.parametrize("application", ["", " ", "a\nb", "биллинг"])
def test_a_name_that_cannot_stand_in_a_header(application: str) -> None:
    with pytest.raises(ConfigurationError, match=": give a name in ASCII"):
        Timeweb(TOKEN, application=application)
