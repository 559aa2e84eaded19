"""Whatever the environment, the addresses and the files are like: nothing but a TimewebError leaves a call.

Each cell is played by both clients, and by both HTTP libraries where that may matter.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from tests.sdk.stub_server import StubServer, answer, unused_port
from tests.sdk.worlds import TOKEN, SkippingClock, World
from timeweb_sdk import AsyncTimeweb, ConfigurationError, errors

HTTPS = "https://api.example.com"
HTTP = "http://api.example.com"
WORLDS = [World(False, "httpx"), World(True, "httpx"), World(False, "httpx2"), World(True, "httpx2")]
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@dataclass(frozen=True)
class Cell:
    """A setting that cannot work, and what the error must say."""

    says: str
    environment: dict[str, str] = field(default_factory=dict)
    url: str = HTTPS
    options: dict[str, Any] = field(default_factory=dict)


def proxy(variable: str, value: str, url: str = HTTPS) -> Cell:
    return Cell(variable, {variable: value}, url)


def address(url: str) -> Cell:
    return Cell("base_url", {}, url)


LONG = "a" * 64
CELLS = {
    "a proxy of ftp": Cell("HTTP_PROXY", {"HTTP_PROXY": "ftp://127.0.0.1:21"}, HTTP, {"allow_http": True}),
    "a proxy of ftp for all": proxy("ALL_PROXY", "ftp://127.0.0.1:21"),
    "a proxy of nothing known": proxy("HTTPS_PROXY", "socks4a://127.0.0.1:1080"),
    "a proxy at port 99999": proxy("HTTPS_PROXY", "http://127.0.0.1:99999"),
    "a proxy at port 0": proxy("HTTPS_PROXY", "http://127.0.0.1:0"),
    "a proxy at no number": proxy("HTTPS_PROXY", "http://127.0.0.1:eighty"),
    "a proxy without a host": proxy("HTTPS_PROXY", "http://"),
    "a proxy with an empty label": proxy("HTTPS_PROXY", "http://a..b:3128"),
    "a proxy with a label too long": proxy("https_proxy", f"http://{LONG}.example:3128"),
    "a proxy that is a sentence": proxy("HTTPS_PROXY", "ask the administrator"),
    "a proxy with half a bracket": proxy("HTTPS_PROXY", "http://[::1:3128"),
    "a proxy without a scheme at port 99999": proxy("ALL_PROXY", "127.0.0.1:99999"),
    "a proxy with a tab in its name": proxy("HTTPS_PROXY", "http://a\tb:3128"),
    "a proxy with a password at port 99999": proxy("HTTPS_PROXY", "http://me:hidden-word@127.0.0.1:99999"),
    "an empty label": address("http://a..b"),
    "an empty first label": address("https://.example.com"),
    "a label of 64 characters": address(f"https://{LONG}.example.com"),
    "a name of 254 characters": address("https://" + ".".join(["a" * 49] * 5) + ".abcd"),
    "an IDN with a label too long": address("https://" + "ж" * 64 + ".example.com"),
    "an IDN that says nothing": address("https://xn--.example.com"),
    "port 0": address("http://127.0.0.1:0"),
    "port 99999": address("http://127.0.0.1:99999"),
    "a port that is no number": address("http://127.0.0.1:eighty"),
    "a negative port": address("http://127.0.0.1:-1"),
    "half a bracket": address("http://[::1"),
    "no address of IPv6": address("http://[fe80::zz]"),
    "user and password": address("https://me:hidden-word@api.example.com"),
    "a user": address("https://hidden-word@api.example.com"),
    "an empty user": address("https://@api.example.com"),
    "a user behind a percent": address("https://hidden-word%40api.example.com"),
    "a user behind a backslash": address("https://hidden-word\\@api.example.com"),
    "a user without slashes": address("https:hidden-word@api.example.com"),
    "a way that others can read": Cell("allow_http=True", {}, HTTP),
    "a way that others can read, by a variable": Cell("TIMEWEB_ALLOW_HTTP=1", {"TIMEWEB_BASE_URL": HTTP}, ""),
    "an address that only begins like this machine": address("http://127.0.0.1.example.com"),
    "no yes and no no": Cell("TIMEWEB_ALLOW_HTTP", {"TIMEWEB_ALLOW_HTTP": "perhaps"}, HTTP),
    "no scheme": address("api.example.com"),
    "another scheme": address("ftp://api.example.com"),
    "a query": address("https://api.example.com?a=1"),
    "a fragment": address("https://api.example.com#a"),
    "a line break inside": address("https://api.example\n.com"),
    "a blank inside": address("https://api example.com"),
    "no host": address("https://"),
    "the variable of the address": Cell("TIMEWEB_BASE_URL", {"TIMEWEB_BASE_URL": "http://a..b"}, ""),
    "the variable of the library": Cell(
        "TIMEWEB_HTTP_CLIENT", {"TIMEWEB_HTTP_CLIENT": "requests"}, HTTPS, {"http_client": None}
    ),
    "an unknown library": Cell("http_client", {}, HTTPS, {"http_client": "requests"}),
    "no client at all": Cell("http_client", {}, HTTPS, {"http_client": object()}),
    "no file of certificates": proxy("SSL_CERT_FILE", "/nonexistent/ca.pem"),
    "a folder for the file of certificates": proxy("SSL_CERT_FILE", "/"),
    "a file that holds none": proxy("SSL_CERT_FILE", __file__),
    "no folder of certificates": proxy("SSL_CERT_DIR", "/nonexistent"),
    "a file for the folder of certificates": proxy("SSL_CERT_DIR", __file__),
    "no token": Cell("TIMEWEB_API_TOKEN", {}, HTTPS, {"token": None}),
    "a token with a line break": Cell("token", {}, HTTPS, {"token": "a\nb"}),
}
if find_spec("socksio") is None:
    CELLS["a SOCKS proxy without its package"] = proxy("ALL_PROXY", "socks5://127.0.0.1:1080")
    CELLS["a SOCKS proxy that resolves names"] = proxy("HTTPS_PROXY", "socks5h://127.0.0.1:1080")


@pytest.mark.parametrize("world", WORLDS, ids=repr)
@pytest.mark.parametrize("name", CELLS)
def test_what_cannot_work_is_told_before_anything_is_sent(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch, clock: SkippingClock
) -> None:
    cell = CELLS[name]
    for variable, value in cell.environment.items():
        monkeypatch.setenv(variable, value)
    options = {"base_url": cell.url or None, **cell.options}
    with pytest.raises(ConfigurationError) as caught:
        world.run(lambda tw: tw.servers.get(1), **options)
    assert cell.says in str(caught.value)
    assert ": give " in str(caught.value) or ": set " in str(caught.value) or ": pip install " in str(caught.value)
    assert "hidden-word" not in str(caught.value)
    assert (caught.value.delivery, clock.slept) == ("not_sent", [])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_log_of_keys_without_a_folder_is_told(asynchronous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys.log")  # httpx2 does not write one
    with pytest.raises(ConfigurationError, match="SSLKEYLOGFILE"):
        World(asynchronous, "httpx").run(lambda tw: tw.servers.get(1), base_url=HTTPS)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_name_that_the_http_library_refuses_is_told(asynchronous: bool) -> None:
    with pytest.raises(ConfigurationError, match="cannot be sent") as caught:  # httpx2 takes it
        World(asynchronous, "httpx").run(lambda tw: tw.servers.get(1), base_url="https://xn--ls8h.example.com")
    assert caught.value.delivery == "not_sent"


GOES_ON = {
    "an unparsable entry of NO_PROXY": "127.0.0.1,fd00::/8",
    "it comes first": "fd00::/8,127.0.0.1",
    "a network of this host": "127.0.0.0/8",
    "a broken network": "127.0.0.1/99,127.0.0.1",
    "a broken bracket": "[::1,[,127.0.0.1",
    "everything": "*",
    "with the port": "127.0.0.1:{port}",
    "with a scheme": "http://127.0.0.1",
    "empty entries": ",,127.0.0.1,",
    "blanks": " 127.0.0.1 ",
}


@pytest.mark.parametrize("world", WORLDS, ids=repr)
@pytest.mark.parametrize("name", GOES_ON)
def test_no_proxy_is_obeyed(name: str, world: World, server: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("NO_PROXY", GOES_ON[name].format(port=server.url.rpartition(":")[2]))
    assert world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, max_retries=0) == {}


LEFT_OUT = ("10.0.0.0/8", "fd00::/8", "[", "*.")


@pytest.mark.parametrize("entry", ["127.0.0.2", "127.0.0.1:1", "0.0.1", "x127.0.0.1", "", *LEFT_OUT])
@pytest.mark.parametrize("world", WORLDS[:2], ids=repr)
def test_other_entries_of_no_proxy_leave_the_proxy_in_place(
    entry: str, world: World, server: StubServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", entry)
    target = f"http://127.0.0.1:{unused_port()}"
    with caplog.at_level(logging.WARNING):
        world.run(lambda tw: tw.request("GET", "/x"), base_url=target, max_retries=0)
    assert server.arrivals[0].target == f"{target}/x"
    assert [repr(entry) in record.message for record in caplog.records] == [True] * (entry in LEFT_OUT)


@pytest.mark.parametrize(
    ("entry", "exempt"), [("example.com", True), (".example.com", True), ("*.example.com", True), ("ample.com", False)]
)
def test_a_name_in_no_proxy_means_all_below_it(entry: str, exempt: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from timeweb_sdk._core.environment import find_proxy

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("NO_PROXY", entry)
    assert (find_proxy(HTTPS) is None) is exempt


BUILDS: dict[str, Callable[[], Any]] = {
    "ValueError": lambda: ValueError("odd"),
    "RuntimeError": lambda: RuntimeError("odd"),
    "OSError": lambda: OSError("odd"),
    "UnicodeError": lambda: UnicodeError("odd"),
    "OverflowError": lambda: OverflowError("odd"),
    "ExceptionGroup": lambda: ExceptionGroup("odd", [OverflowError("port must be 0-65535.")]),
    "SSLError": lambda: ssl.SSLError("odd"),
    "AttributeError": lambda: AttributeError("odd"),
}


@pytest.mark.parametrize("world", WORLDS, ids=repr)
@pytest.mark.parametrize("name", BUILDS)
def test_whatever_a_transport_raises_is_a_transport_error(name: str, world: World, clock: SkippingClock) -> None:
    def fail(_: Any) -> Any:
        raise BUILDS[name]()

    library: Any = httpx if world.library == "httpx" else httpx2
    kind = library.AsyncClient if world.asynchronous else library.Client
    with pytest.raises(errors.TransportError) as caught:
        world.run(
            lambda tw: tw.request("POST", "/x"),
            base_url=HTTP,
            allow_http=True,
            http_client=kind(transport=library.MockTransport(fail)),
        )
    assert (caught.value.delivery, caught.value.attempts) == ("unknown", 1)


@pytest.mark.parametrize("world", WORLDS, ids=repr)
@pytest.mark.parametrize("state", ["closed", "of the wrong flavour"])
def test_an_http_client_that_cannot_serve(state: str, world: World) -> None:
    library: Any = httpx if world.library == "httpx" else httpx2
    flavour = world.asynchronous != (state == "of the wrong flavour")
    client = (library.AsyncClient if flavour else library.Client)()
    asyncio.run(client.aclose()) if flavour else client.close()
    with pytest.raises(ConfigurationError, match="http_client"):
        world.run(lambda tw: tw.servers.get(1), http_client=client)


@pytest.mark.parametrize("world", WORLDS, ids=repr)
def test_a_hook_that_raises_fails_no_call(world: World, server: StubServer, caplog: pytest.LogCaptureFixture) -> None:
    def hook(_: object) -> None:
        raise ValueError("odd")

    assert world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, hooks=[hook]) == {}
    assert "a hook failed" in caplog.text


def test_asynchronous_calls_need_asyncio() -> None:
    tw = AsyncTimeweb(TOKEN, base_url=HTTP, allow_http=True)
    for coroutine in (tw.servers.get(1), tw.request("GET", "/x"), tw.aclose()):
        with pytest.raises(ConfigurationError, match="asyncio only"):
            coroutine.send(None)


@pytest.mark.parametrize("given", ["missing.iso", "/", Path("missing.iso"), Path("/"), 7, None], ids=repr)
@pytest.mark.parametrize("world", WORLDS[:2], ids=repr)
def test_a_file_that_is_none(given: Any, world: World, server: StubServer) -> None:
    with pytest.raises(ConfigurationError):
        world.run(lambda tw: tw.images.upload("image-id", body=given), base_url=server.url)
    assert server.arrivals == []


@pytest.mark.parametrize("world", WORLDS, ids=repr)
def test_a_name_that_nobody_knows(world: World, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(errors.ConnectError) as caught:
        world.run(lambda tw: tw.request("POST", "/x"), base_url="http://nowhere.example.com", allow_http=True, max_retries=1)
    assert (caught.value.delivery, caught.value.attempts) == ("not_sent", 2)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_name_server_that_hangs_does_not_outlast_the_deadline(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [] if end.wait(30) else None)
    began = time.monotonic()
    try:
        with pytest.raises(errors.DeadlineExceeded) as caught:
            World(False, library).run(
                lambda tw: tw.request("POST", "/x"),
                base_url="http://slow.example.com",
                allow_http=True,
                timeout=0.3,
                total_timeout=0.5,
            )
    finally:
        end.set()
    assert caught.value.delivery == "not_sent"
    assert time.monotonic() - began < 25


@pytest.fixture
def silent_addresses() -> Iterator[tuple[list[str], int]]:
    """Six addresses that drop what comes, as a firewall does: their queues are full."""
    addresses = [f"127.0.0.{number}" for number in range(2, 8)]
    with ExitStack() as stack:
        port = unused_port()
        for one in addresses:
            listener = stack.enter_context(socket.socket())
            listener.bind((one, port))
            listener.listen(0)
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex((one, port))
        yield addresses, port


def resolve_to(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def several(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host not in ("many.example.com", b"many.example.com"):
            return real(host, port, *arguments, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", several)


@pytest.mark.parametrize("world", WORLDS, ids=repr)
def test_many_addresses_that_drop_everything_share_the_deadline(
    world: World, silent_addresses: tuple[list[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses, port = silent_addresses
    resolve_to(addresses, monkeypatch)
    began = time.monotonic()
    with pytest.raises(errors.TimewebError) as caught:
        world.run(
            lambda tw: tw.request("GET", "/x"),
            base_url=f"http://many.example.com:{port}",
            allow_http=True,
            timeout=1.2,
            total_timeout=1.5,
        )
    assert time.monotonic() - began < 1.2 * (len(addresses) - 1)  # a busy machine; did each take its own time, it would be more
    assert world.asynchronous or caught.value.delivery == "not_sent"


@pytest.mark.parametrize("world", WORLDS, ids=repr)
def test_one_address_of_many_that_answers_is_found(
    world: World, silent_addresses: tuple[list[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses, port = silent_addresses
    with socket.socket() as listener:
        listener.bind(("127.0.0.8", port))
        listener.listen(5)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                answer(200, {"fine": True})(connection)

        threading.Thread(target=serve, daemon=True).start()
        resolve_to([addresses[0], "127.0.0.8"], monkeypatch)
        url = f"http://many.example.com:{port}"
        found = world.run(lambda tw: tw.request("GET", "/x"), base_url=url, allow_http=True, timeout=2)
    assert found == {"fine": True}


def test_the_matrix_has_many_cells() -> None:
    assert len(CELLS) + len(GOES_ON) + len(BUILDS) >= 60


@pytest.mark.parametrize("world", WORLDS, ids=repr)
def test_a_certificate_that_nobody_vouches_for_names_the_remedy(world: World, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=127.0.0.1", "-days", "2"]
    subprocess.run([openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            context.wrap_socket(listener.accept()[0], server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        with pytest.raises(errors.ConnectError, match=r"CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE"):
            world.run(
                lambda tw: tw.request("GET", "/x"), base_url=f"https://127.0.0.1:{listener.getsockname()[1]}", max_retries=0
            )
        thread.join()
