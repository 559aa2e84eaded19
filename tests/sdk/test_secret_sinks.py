"""Every secret, in every object, towards every place where it might be seen."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.sdk import stub_server as stub
from tests.sdk.stub_server import StubServer, answer, error
from tests.sdk.worlds import TOKEN, WORLDS, SkippingClock, World
from timeweb_sdk import Timeweb, errors
from timeweb_sdk.testing.vcr import timeweb_vcr

MARK = "correct-horse-battery"


@dataclass(frozen=True)
class Secret:
    """A secret as it comes in a reply: in which field, as what text, and which piece of it must not be seen."""

    field: str
    text: str
    mark: str = MARK


PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{MARK}\n-----END OPENSSH PRIVATE KEY-----\n"
SECRETS = {
    "token": Secret("note", f"Authorization: Bearer {TOKEN}", TOKEN),
    "root_pass": Secret("root_pass", MARK),
    "vnc_pass": Secret("vnc_pass", MARK),
    "PEM": Secret("comment", PEM),
    "S3 key": Secret("secret_key", MARK),
    "kubeconfig": Secret("comment", f"apiVersion: v1\nkind: Config\nusers:\n- user:\n    client-key-data: {MARK}\n"),
    "cloud_init": Secret("cloud_init", f"#cloud-config\nchpasswd: {MARK}\n"),
}
OBJECTS = ("model", "list", "Response", "error")
SINKS: dict[str, Callable[[Any], Any]] = {
    "log": lambda seen: f"{seen} {seen!r}",
    "repr": repr,
    "str": str,
    "model_dump_json": lambda seen: TypeAdapter(Any).dump_json(_data_of(seen), fallback=repr).decode(),
    "pickle": lambda seen: pickle.dumps(seen).decode("latin-1"),
    "unpickled": lambda seen: repr(pickle.loads(pickle.dumps(seen))),
    "copy": lambda seen: f"{copy.copy(seen)!r} {copy.deepcopy(seen)!r}",
}


def _data_of(seen: Any) -> Any:
    return vars(seen) if isinstance(seen, Exception) else getattr(seen, "data", seen)


@pytest.fixture(scope="module")
def backend() -> Iterator[StubServer]:
    with stub.stub_server() as running:
        yield running


def obtain(kind: str, secret: Secret, server: StubServer) -> Any:
    held = {"id": 1, secret.field: secret.text, "deep": [{secret.field: secret.text}]}
    if kind == "error":
        server.play(error(400, "bad_request", f"cannot use {secret.field}: {secret.text}", details=held))
    else:
        server.play(answer(200, {"servers": [held], "meta": {"total": 1}} if kind == "list" else {"server": held}))
    with Timeweb(TOKEN, base_url=server.url) as tw:
        if kind == "error":
            with pytest.raises(errors.BadRequestError) as caught:
                tw.servers.get(1)
            return caught.value
        if kind == "list":
            return tw.servers.list().items
        return tw.servers.with_response.get(1) if kind == "Response" else tw.servers.get(1)


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_shows(
    name: str, kind: str, sink: str, backend: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = SECRETS[name]
    with caplog.at_level(logging.DEBUG):
        seen = obtain(kind, secret, backend)
    if kind != "error":  # the secret did arrive, and whoever asks for it has it
        data = _data_of(seen)
        value = getattr(data[0] if kind == "list" else data, secret.field)
        assert secret.mark in (value if isinstance(value, str) else value.get_secret_value())
    assert secret.mark not in SINKS[sink](seen)
    assert secret.mark not in caplog.text


@pytest.mark.parametrize("kind", ["model", "list", "Response"])
@pytest.mark.parametrize("name", SECRETS)
def test_copies_are_whole(name: str, kind: str, backend: StubServer, clock: SkippingClock) -> None:
    secret = SECRETS[name]
    seen = copy.deepcopy(obtain(kind, secret, backend))
    data = seen[0] if kind == "list" else _data_of(seen)
    value = getattr(data, secret.field)
    assert secret.mark in (value if isinstance(value, str) else value.get_secret_value())


@pytest.mark.parametrize("world", WORLDS, ids=repr)
@pytest.mark.parametrize("fault", [stub.reset, stub.hang_up, None], ids=["reset", "hang up", "unreachable"])
@pytest.mark.parametrize("name", SECRETS)
def test_no_cause_holds_a_secret(name: str, fault: Any, world: World, backend: StubServer, clock: SkippingClock) -> None:
    secret = SECRETS[name]
    backend.play(fault or stub.reset)
    url = backend.url if fault else f"http://127.0.0.1:{stub.unused_port()}"
    body = {secret.field: secret.text}
    with pytest.raises(errors.TransportError) as caught:
        world.run(lambda tw: tw.request("POST", "/x", json=body), base_url=url, max_retries=0)
    link: BaseException | None = caught.value
    while link is not None:
        held = f"{link!r} {vars(link)}"
        with pytest.raises((RuntimeError, AttributeError)):
            _ = link.request  # type: ignore[attr-defined]
        assert secret.mark not in held
        assert TOKEN not in held
        link = link.__cause__ or link.__context__
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [str(frame.locals) for frame in frames.stack if "/timeweb_sdk/" in frame.filename]
    assert ours
    assert [shown for shown in ours if secret.mark in shown] == []


@pytest.mark.parametrize("place", ["body", "request body", "header", "address"])
@pytest.mark.parametrize("name", SECRETS)
def test_no_cassette_holds_a_secret(name: str, place: str, backend: StubServer, clock: SkippingClock, tmp_path: Path) -> None:
    secret = SECRETS[name]
    line = secret.text.replace("\n", "\\n")
    held = {"id": 1, secret.field: secret.text}
    headers = {f"X-{secret.field.replace('_', '-')}": line} if place == "header" else {}
    backend.play(answer(200, {"server": held if place == "body" else {"id": 1}}, headers=headers))
    query = {secret.field: line} if place == "address" else None
    with timeweb_vcr(tmp_path).use_cassette("one.yaml"), Timeweb(TOKEN, base_url=backend.url) as tw:
        if place == "request body":
            tw.request("POST", "/api/v1/servers", json=held)
        else:
            tw.request("GET", "/api/v1/servers/1", query=query)
    recorded = (tmp_path / "one.yaml").read_text()
    assert "/api/v1/servers" in recorded
    assert secret.mark not in recorded
    assert TOKEN not in recorded


@pytest.mark.parametrize("given_to", ["the recorder", "the cassette", "a list for the cassette"])
def test_hooks_of_one_s_own_do_not_switch_the_scrubbing_off(
    given_to: str, backend: StubServer, clock: SkippingClock, tmp_path: Path
) -> None:
    backend.play(answer(200, {"server": {"id": 1, "root_pass": MARK}}, headers={"X-Echo": TOKEN}))
    called: list[str] = []

    def on_request(request: Any) -> Any:
        called.append("request")
        request.headers.pop("Authorization", None)  # the echo of a token is known all the same
        return request

    def on_response(response: Any) -> Any:
        called.append("response")
        return {**response, "headers": {**response["headers"], "X-Own": [f"Bearer {TOKEN}"]}}

    hooks: dict[str, Any] = {"before_record_request": on_request, "before_record_response": on_response}
    if given_to == "a list for the cassette":
        hooks = {name: [hook] for name, hook in hooks.items()}
    recorder = timeweb_vcr(tmp_path, **(hooks if given_to == "the recorder" else {}))
    given = {} if given_to == "the recorder" else hooks
    with recorder.use_cassette("own.yaml", **given), Timeweb(TOKEN, base_url=backend.url) as tw:
        tw.servers.get(1)
    recorded = (tmp_path / "own.yaml").read_text()
    assert {*called} == {"request", "response"}
    assert "X-Own" in recorded
    assert MARK not in recorded
    assert TOKEN not in recorded


@pytest.mark.parametrize("world", WORLDS, ids=repr)
def test_what_confirms_a_deletion_is_in_nobody_s_log(
    world: World, server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        world.run(lambda tw: tw.servers.delete(7, hash="hash-of-it", code="123456"), base_url=server.url)
    assert server.arrivals[0].target == "/api/v1/servers/7?hash=hash-of-it&code=123456"
    assert "/api/v1/servers/7" in caplog.text
    assert "hash-of-it" not in caplog.text
    assert "123456" not in caplog.text


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_cookie_of_one_account_is_sent_for_another(
    library: str, asynchronous: bool, server: StubServer, clock: SkippingClock
) -> None:
    from importlib import import_module

    server.play(answer(200, {}, headers={"Set-Cookie": "session=of-a; Path=/"}))
    kind = "AsyncClient" if asynchronous else "Client"
    shared = getattr(import_module(library), kind)(cookies={"own": "kept"})

    def use(tw: Any) -> Any:
        async def twice() -> None:
            await tw.request("GET", "/a")
            await tw.request("GET", "/b")
            await shared.aclose()

        return twice() if asynchronous else (tw.request("GET", "/a"), tw.request("GET", "/b"))

    World(asynchronous, library).run(use, base_url=server.url, http_client=shared)
    assert ["cookie" in arrival.headers for arrival in server.arrivals] == [False, False]
    assert dict(shared.cookies) == {"own": "kept"}
    if not asynchronous:
        shared.close()


@pytest.mark.parametrize(
    ("given", "sent"),
    [('"tok-en-tok"', "tok-en-tok"), ("'tok-en-tok'", "tok-en-tok"), (' "tok-en-tok" \n', "tok-en-tok"), ('tok"en', None)],
)
def test_quotes_around_a_token_are_dropped(given: str, sent: str | None, server: StubServer, clock: SkippingClock) -> None:
    if sent is None:
        with pytest.raises(errors.ConfigurationError, match="quotes"):
            Timeweb(given)
        return
    with Timeweb(given, base_url=server.url) as tw:
        tw.request("GET", "/x")
    assert server.arrivals[0].headers["authorization"] == f"Bearer {sent}"
