"""The token and passwords show nowhere: not in objects, logs, tracebacks with locals or spans."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import SecretStr

from tests.sdk import stub_server as stub
from tests.sdk.stub_server import Behaviour, StubServer, answer, error, html
from tests.sdk.worlds import TOKEN, WORLDS, SkippingClock, World
from timeweb_sdk import AsyncTimeweb, RateLimit, Timeweb, errors, secrets
from timeweb_sdk._core.secrets import scrub_reply
from timeweb_sdk.operations import OPERATIONS
from timeweb_sdk.secrets import STARS, is_secret_name, scrub

PASSWORD = "correct-horse-battery"
LOGGERS = ("timeweb_sdk", "httpx", "httpcore", "httpx2", "httpcore2")


@pytest.mark.parametrize("kind", [Timeweb, AsyncTimeweb])
def test_clients_show_no_token_and_are_not_pickled(kind: Callable[..., Any]) -> None:
    client = kind(TOKEN)
    assert TOKEN not in f"{client!r} {vars(client)} {vars(client._session)}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(client)


FAULTS: dict[str, Behaviour] = {
    "hang up": stub.hang_up,
    "reset": stub.reset,
    "truncated": stub.half_a_reply,
    "gzip": stub.broken_gzip,
    "page": html(502),
    "error": error(400, "bad_request", f"root_pass={PASSWORD}"),
    "decode": answer(200, {"server": {"id": [PASSWORD], "root_pass": PASSWORD}}),
    "slow": stub.silence,
}


@pytest.mark.parametrize("name", FAULTS)
def test_tracebacks_with_locals_show_no_secret(name: str, world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(FAULTS[name])
    secret = SecretStr(PASSWORD)

    with pytest.raises(errors.TimewebError) as caught:
        world.run(
            lambda tw: tw.servers.create(name="web", cloud_init=secret),
            base_url=server.url,
            strict=True,
            max_retries=0,
            timeout=0.5,
        )

    assert PASSWORD.encode() in server.arrivals[0].body
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    frames_of_ours = [line for line in shown.splitlines() if "timeweb_sdk/_core" in line]
    assert frames_of_ours
    assert TOKEN not in _without_this_test(shown)
    assert PASSWORD not in _without_this_test(shown)


def _without_this_test(shown: str) -> str:
    """Leave out the frames of the tests, which know the secrets."""
    kept, ours = [], False
    for line in shown.splitlines():
        if line.lstrip().startswith("File "):
            ours = "/tests/" in line
        if not ours:
            kept.append(line)
    return "\n".join(kept)


def test_logs_at_debug_show_no_secret(
    world: World, server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    server.play(html(503), answer(200, {"server": {"id": "odd", "root_pass": PASSWORD}}))
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, name)
    world.run(lambda tw: tw.servers.get(1), base_url=server.url)
    ours = [record.getMessage() for record in caplog.records if record.name == "timeweb_sdk" and record.levelname == "DEBUG"]
    assert [line.rpartition(" in ")[0] for line in ours] == [
        "getServer GET /api/v1/servers/1 attempt 1: 503",
        "getServer GET /api/v1/servers/1 attempt 2: 200",
    ]
    assert TOKEN not in caplog.text
    assert PASSWORD not in caplog.text


def test_opentelemetry_sees_calls_but_no_token(server: StubServer, clock: SkippingClock) -> None:
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        with Timeweb(TOKEN, base_url=server.url) as tw:
            tw.request("GET", "/x")

        async def call() -> None:
            async with AsyncTimeweb(TOKEN, base_url=server.url) as atw:
                await atw.request("GET", "/y")

        asyncio.run(call())
    finally:
        instrumentor.uninstrument()
    spans = exporter.get_finished_spans()
    assert len(spans) == 2
    assert TOKEN not in "".join(span.to_json() for span in spans)


def test_connect_timeouts_name_the_ban_and_the_remedy(clock: SkippingClock) -> None:
    import httpx

    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("timed out", request=request)

    transport = httpx.Client(transport=httpx.MockTransport(unreachable))
    remedy = r"banned this address.*RateLimit\.gentle\(\)"
    with (
        transport,
        Timeweb(TOKEN, http_client=transport, max_retries=1) as tw,
        pytest.raises(errors.ConnectTimeout, match=remedy) as caught,
    ):
        tw.servers.get(1)
    assert caught.value.delivery == "not_sent"
    assert RateLimit.gentle().overall is not None


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("root_pass", True),
        ("vnc_pass", True),
        ("admin_password", True),
        ("secret_key", True),
        ("access-key", True),
        ("private_key", True),
        ("api_token", True),
        ("kubeconfig", True),
        ("is_password_set", False),
        ("password_changed_at", False),
        ("token_type", False),
        ("tokens_count", False),
        ("max_tokens", False),
        ("tokens", True),
        ("name", False),
        ("key_data", True),
        ("auth_code", True),
        ("error_code", False),
        ("ingoing_tokens", False),
        ("tokens_used", False),
        ("token_packages", False),
        ("passport", False),
        ("bypass_rules_id", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


@pytest.mark.parametrize("fault", [stub.hang_up, error(400, "bad_request", f"value {PASSWORD!r} of password is weak")])
def test_a_password_in_a_body_shows_in_no_frame_of_the_core(
    fault: Behaviour, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(fault)
    body = {"login": "root", "password": PASSWORD, "host": float("nan")}
    calls: list[Callable[[Any], Any]] = [
        lambda tw: tw.request("POST", "/api/v1/x", json={"password": PASSWORD}),
        lambda tw: tw.request("POST", "/api/v1/x", json=body),
        lambda tw: tw.request("POST", "no path", json=body),
        lambda tw: tw.databases.admins.create(1, login="root", password=PASSWORD, privileges=["SELECT"]),
        lambda tw: tw.databases.admins.with_response.create(1, login="root", password=PASSWORD, privileges=["SELECT"]),
    ]
    for call in calls:
        with pytest.raises(errors.TimewebError) as caught:
            world.run(call, base_url=server.url, max_retries=0)
        assert PASSWORD not in f"{caught.value} {vars(caught.value)}"
        assert PASSWORD.encode() not in pickle.dumps(caught.value)
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        shown = [f"{frame.name}: {frame.locals}" for frame in frames.stack if "timeweb_sdk/_core" in frame.filename]
        shown += [f"{frame.name}: {frame.locals}" for frame in frames.stack if frame.filename.endswith("sdk/client.py")]
        assert [frame for frame in shown if PASSWORD in frame] == []
        assert len(shown) >= 1


SENDS_SECRETS: dict[str, Callable[[Any], Any]] = {
    "databases.admins.create": lambda node: node.create(1, login="root", password=PASSWORD, privileges=["SELECT"]),
    "storages.users.update": lambda node: node.update(1, secret_key=PASSWORD),
    "databases.create": lambda node: node.create(name="d", type="mysql", admin={"login": "root", "password": PASSWORD}),
    "mail.mailboxes.create_many": lambda node: node.create_many(
        "example.com", body=({"mailbox": "info", "password": PASSWORD},)
    ),
    "apps.update": lambda node: node.update("1", envs={"DATABASE_URL": f"mysql://root:{PASSWORD}@203.0.113.5"}),
    "domain_requests.create": lambda node: node.create(action="transfer", fqdn="example.com", auth_code=PASSWORD),
}
"""By attribute: a secret as a parameter, inside an object, in an array, under a name of the caller's, under no telling name."""
REFUSING = "http://127.0.0.1:1"


@pytest.mark.parametrize("fault", ["unreachable", "reset", "500", "decode"])
@pytest.mark.parametrize("attribute", SENDS_SECRETS)
@pytest.mark.parametrize("world", WORLDS[:2], ids=repr)
def test_a_secret_argument_shows_in_no_frame_of_the_library(
    attribute: str, fault: str, world: World, server: StubServer, clock: SkippingClock
) -> None:
    (operation,) = (each for each in OPERATIONS.values() if each.attribute == attribute)
    odd = {operation.data_key: {"id": ["odd"]}} if operation.data_key else {"id": ["odd"]}
    server.play({"reset": stub.reset, "500": error(500, "internal", "no")}.get(fault, answer(200, odd)))

    def call(tw: Any) -> Any:
        return SENDS_SECRETS[attribute](functools.reduce(getattr, attribute.split(".")[:-1], tw))

    with pytest.raises(errors.TimewebError) as caught:
        world.run(call, base_url=REFUSING if fault == "unreachable" else server.url, max_retries=0, strict=True)

    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "timeweb_sdk/_generated" in shown
    assert PASSWORD not in _without_this_test(shown)
    assert PASSWORD not in f"{caught.value} {vars(caught.value)}"
    if fault != "unreachable":
        assert PASSWORD.encode() in server.arrivals[0].body


ECHOES = [
    '{{"root_pass":"{}"}}',
    "root_pass: {}",
    "{{'password': '{}'}}",
    '{{\\"root_pass\\":\\"{}\\"}}',
    '{{"vnc_pass": ["{}", "{}"]}}',
    '{{"body": {{"root_pass": "{}"}}}}',
    "<root_pass>{}</root_pass>",
    '<a><password type="text">{}</password></a>',
    {"root_pass": "{}"},
    [{"details": {"api_key": ["{}"]}}],
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("secret", [PASSWORD, "correct horse battery", "horse;staple"])
def test_echoes_of_secrets_are_hidden(secret: str, echo: Any, server: StubServer, clock: SkippingClock) -> None:
    quoted = not isinstance(echo, str) or not echo.endswith(": {}")
    if not quoted and ";" in secret:
        return
    message = echo.format(secret, secret) if isinstance(echo, str) else json.loads(json.dumps(echo).replace("{}", secret))
    server.play(error(500, "internal_server_error", message, details=message, root_pass=secret))
    with pytest.raises(errors.ServerError) as caught:
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url, max_retries=0)
    for shown in (f"{caught.value} {vars(caught.value)}", pickle.dumps(caught.value).decode("latin-1")):
        assert "horse" not in shown


def test_a_password_in_an_address_is_hidden() -> None:
    text = "cannot reach postgres://user:sesame@db.example:5432/x, nor https://db.example:5432/a@b"
    assert scrub_reply(text, SecretStr(TOKEN)) == text.replace("sesame", "**********")


def test_texts_about_secrets_that_hold_none_stay_readable() -> None:
    text = "property root_pass should not exist; name: web-1, preset_id=5; at least 8 characters in the password"
    assert scrub_reply(text, SecretStr(TOKEN)) == text


def test_a_secret_that_was_sent_is_hidden_wherever_it_comes_back(server: StubServer, clock: SkippingClock) -> None:
    server.play(error(400, "bad_request", f"value '{PASSWORD}' is weak", hint=PASSWORD))
    body = {"admin": {"password": SecretStr(PASSWORD)}, "name": "database"}
    with pytest.raises(errors.BadRequestError, match=r"value '\*+' is weak") as caught:
        World(False, "httpx").run(lambda tw: tw.request("POST", "/api/v1/x", json=body), base_url=server.url)
    assert PASSWORD.encode() not in pickle.dumps(caught.value)


def test_what_breaks_http_is_not_quoted(world: World, server: StubServer, clock: SkippingClock) -> None:
    def babble(connection: Any) -> None:
        connection.sendall(f"root_pass={PASSWORD}\r\n\r\n".encode())

    server.play(babble)
    with pytest.raises(errors.ProtocolError) as caught:
        world.run(lambda tw: tw.servers.get(1), base_url=server.url, max_retries=0)
    shown = "".join(traceback.TracebackException.from_exception(caught.value).format())
    assert PASSWORD not in f"{caught.value} {shown}"


@pytest.mark.parametrize("piece", ["a=", "key: ", "pass=", "pass=[", "<password>", 'pass=\\"', "bearer ", "-----BEGIN A-----"])
def test_a_long_text_is_scrubbed_in_time_that_grows_with_its_length(piece: str) -> None:
    """Were the time to grow with the square of the length, this would take hours: the timeout of every test fails it."""
    assert PASSWORD not in scrub_reply(piece * 300_000 + f",password={PASSWORD}", SecretStr(TOKEN))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("#cloud-config", "**********"),
        ("#cloud-confi", "#cloud-confi"),
        ("token=abc", "token=**********"),
        ("a://b:c@d", "a://b:**********@d"),
        ("203.0.113.12", "203.0.113.12"),
    ],
)
def test_a_short_text_is_looked_at_where_a_secret_may_be_in_it(text: str, shown: str) -> None:
    assert scrub(text) == shown


SECRETS_BY_LOOKS = (
    *("-----BEGIN RSA PRIVATE KEY-----", "LS0tLS1CRUdJTiA=", "bearer 12345678", "eyJ0123456789abcdef", "mysql://u:pw@h"),
    *(f"gh{letter}_0123456789abcdef" for letter in "opsur"),
    *(f"xox{letter}-0123456789abcde" for letter in "abprs"),
    *(f"{sign}0123456789abcdef" for sign in ("github_pat_", "glpat-", "AKIA", "dop_v1_")),
    *(f"12345678:{'a' * 35}", "#cloud-config", "kind: Config", "\\nkind: Config", "password: sesame"),
    "<password>sesame</password>",
)
ODD_CASE = {"s": "\u017f", "i": "\u0131", "I": "\u0130", "k": "\u212a"}
"""Letters beyond ASCII that are one of ASCII in another case."""


def assert_nothing_is_missed(text: str) -> None:
    """Compare with the expressions themselves: what `scrub` looks at before it uses them only saves time."""
    for named in (True, False):
        shown = STARS
        if not secrets._WHOLE.search(text):
            shown = secrets._VALUES.sub(lambda found: (found["user"] or "") + STARS, text)
            shown = secrets._hide_values(secrets._ELEMENT.sub(secrets._hide_element, shown)) if named else shown
        assert scrub(text, named=named) == shown


@pytest.mark.parametrize("secret", SECRETS_BY_LOOKS)
def test_a_secret_by_its_looks_is_hidden_in_any_case(secret: str) -> None:
    assert STARS in scrub(secret)
    for text in (secret, secret.upper(), secret.lower()):
        assert_nothing_is_missed(text)
        for place, letter in enumerate(text):
            for other in ("", ODD_CASE.get(letter, "-")):
                assert_nothing_is_missed(text[:place] + other + text[place + 1 :])


@settings(max_examples=50)
@given(st.lists(st.one_of(st.sampled_from(SECRETS_BY_LOOKS), st.text(" \n-:/@=a0\u0416", max_size=4)), max_size=4))
def test_secrets_between_odds_and_ends(pieces: list[str]) -> None:
    assert_nothing_is_missed("".join(pieces))
