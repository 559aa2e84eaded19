"""The only module that knows the HTTP library: build, send, close, and which of its errors means what.

httpx2 has the interface of httpx, so either library's client works, and the errors of both are told by their names.
"""

import os
import re
import ssl
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from traceback import walk_tb
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

from timeweb_sdk import errors
from timeweb_sdk._core.bodies import Reply, Timeouts, aread, asending, in_pieces, read, sending
from timeweb_sdk._core.bounded_reads import bound_pool, current, trace
from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.environment import find_proxy, ssl_context
from timeweb_sdk._core.logs import log_as_curl
from timeweb_sdk._core.pools import Pools
from timeweb_sdk._core.request import Request
from timeweb_sdk._core.secrets import forget_frames
from timeweb_sdk._core.types import Delivery
from timeweb_sdk.errors import ConfigurationError, TimewebError, TransportError
from timeweb_sdk.secrets import STARS, is_secret_parameter

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    import httpx
    from pydantic import SecretStr

    # A client of httpx2 has the same interface and another type; naming it would make every user's type checker load it.
    HttpClient: TypeAlias = httpx.Client | httpx.AsyncClient | Any

CONNECT_TIMEOUT = 10.0

_MEANING: dict[str, tuple[type[TransportError], Delivery]] = {
    "ConnectTimeout": (errors.ConnectTimeout, "not_sent"),
    "ConnectError": (errors.ConnectError, "not_sent"),
    "PoolTimeout": (errors.PoolTimeout, "not_sent"),
    "ProxyError": (errors.ProxyError, "not_sent"),
    "ReadTimeout": (errors.ReadTimeout, "unknown"),
    "ReadError": (errors.ReadError, "unknown"),
    "CloseError": (errors.ReadError, "unknown"),
    "WriteTimeout": (errors.WriteTimeout, "unknown"),
    "WriteError": (errors.WriteError, "unknown"),
    "RemoteProtocolError": (errors.ProtocolError, "unknown"),
    "LocalProtocolError": (errors.ProtocolError, "unknown"),
    "TransportError": (TransportError, "unknown"),
}
_BAN = (
    "no connection within {seconds:.3g} s. If this follows a burst of calls, the protection in front of the API has probably "
    "banned this address: wait some minutes, then use rate_limit=RateLimit.gentle()"
)


class Session:
    """What both sessions share: how a request of theirs is built, and whether they may still be used."""

    kind: ClassVar[str]
    """The class of the HTTP library's clients."""
    _extensions: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, base_url: str, token: "SecretStr | None", user_agent: str, given: Any, library: str) -> None:
        self._base_url = base_url
        self._token = token
        self._user_agent = user_agent
        self._given = given
        self._library = library
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    def _build(
        self, client: Any, request: Request, timeouts: Timeouts, stream: "Callable[[Iterable[bytes], int | None], Any]"
    ) -> "httpx.Request":
        log_as_curl(self._base_url, request)
        transfer = request.transfer
        if not transfer.sources:
            return self._build_from(client, request, timeouts, request.content)
        if request.files is None:
            (source,) = transfer.sources
            return self._build_from(client, request, timeouts, stream(source, source.size), length=source.size)
        form = self._build_from(client, request, timeouts, None)
        length = int(form.headers["Content-Length"]) if "Content-Length" in form.headers else None
        body = stream(in_pieces(cast("Iterable[bytes]", form.stream)), length)
        return self._build_from(client, request, timeouts, body, length=length, content_type=form.headers["Content-Type"])

    def _build_from(
        self,
        client: Any,
        request: Request,
        timeouts: Timeouts,
        content: Any,
        *,
        length: int | None = None,
        content_type: str | None = None,
    ) -> "httpx.Request":
        limits = {"connect": timeouts.connect, "read": timeouts.read, "write": timeouts.read, "pool": timeouts.read}
        try:
            built: httpx.Request = client.build_request(
                request.method,
                _parsed(client.base_url.__class__, self._base_url + request.path),
                params=request.params or None,
                headers=self._headers(content_type or request.content_type, length),
                content=content,
                data=None if content_type else request.fields,
                files=None if content_type else request.files,
                extensions={"timeout": limits, **self._extensions},
            )
        except Exception as error:
            if isinstance(error, TimewebError):
                raise
            told = error if type(error).__name__ == "InvalidURL" else type(error).__name__
            fault = ConfigurationError(f"the request cannot be sent: {told}")
        else:
            if self._given is not None:
                # It keeps cookies, and may serve several accounts.
                built.headers.pop("cookie", None)
            if request.params and any(is_secret_parameter(name) for name, _ in request.params):
                kind: Any = type(built.url)
                built.url = _discreet(kind)(built.url)
            return built
        raise fault

    def _forget_cookies(self, response: Any) -> None:
        if self._given is not None and "set-cookie" in response.headers:
            for cookie in response.cookies.jar:
                with suppress(KeyError):
                    self._given.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    def _headers(self, content_type: str | None, length: int | None) -> dict[str, str] | None:
        """Return what the HTTP client does not send by itself; a client that was passed in knows none of ours."""
        headers = self._own_headers() if self._given is not None else {}
        if content_type is not None:
            headers["Content-Type"] = content_type
        if length is not None:
            headers["Content-Length"] = str(length)
        return headers or None

    def _own_headers(self) -> dict[str, str]:
        # Of other kinds of compression the HTTP library cannot say how much they hold before it holds it.
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "gzip, deflate"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return headers

    def _make(self) -> Any:
        """Make a client of our own, unless one was passed in."""
        if self._given is not None:
            return self._given
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        library = _library(self._library)
        options: dict[str, Any] = {"verify": ssl_context(library) if self._base_url.startswith("https:") else False}
        if proxy := find_proxy(self._base_url):
            options["proxy"] = proxy
        try:
            transport = self._transport(library, options)
        except Exception as error:
            fault = ConfigurationError(f"the HTTP client cannot be made ({type(error).__name__}): look at the proxy variables")
        else:
            # A token is all that the API needs; a cookie would tell it of one account in the calls of another.
            jar = CookieJar(DefaultCookiePolicy(allowed_domains=()))
            return getattr(library, self.kind)(transport=transport, headers=self._own_headers(), cookies=jar, trust_env=False)
        raise fault

    def _transport(self, library: Any, options: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigurationError("this client is closed: make a new one")
        if getattr(self._given, "is_closed", False):
            raise ConfigurationError("the http_client that was passed in is closed: pass an open one")

    def _is_forked(self) -> bool:
        """Whether this is another process than before: sockets must not be shared with the parent."""
        return os.getpid() != self._pid

    def _forget_parent(self, *, in_use: bool) -> None:
        if in_use and self._given is not None:
            raise ConfigurationError(
                "the http_client that was passed in was used before the fork: make a client in this process"
            )
        self._pid = os.getpid()
        self._lock = threading.Lock()


class SyncSession(Session):
    """The connections of a synchronous client, made when they are first needed."""

    kind = "Client"
    _extensions: Mapping[str, Any] = MappingProxyType({"trace": trace})
    _client: Any = None

    def send(self, request: Request, timeouts: Timeouts, clock: Clock) -> Reply:
        transfer, is_saved = request.transfer, False
        try:
            client = self._usable()
            current.left = lambda: timeouts.deadline - clock.monotonic()
            transfer.begin(partial(timeouts.moved, clock))
            try:
                built = self._build(client, request, timeouts, partial(sending, transfer))
                response = client.send(built, auth=None, follow_redirects=False, stream=True)
                try:
                    self._forget_cookies(response)
                    reply = read(response, transfer, timeouts, clock)
                    is_saved = reply.is_saved
                finally:
                    response.close()
            finally:
                transfer.end(whole=is_saved)
            return reply
        except Exception as error:
            ours = translate(error, timeouts)
            forget_frames(error)
            cause = None if ours is error or _quotes(error) else error
        finally:
            current.left = None
        # Out here the error has no context but the cause.
        raise ours from cause

    def close(self) -> None:
        """Close our connections; a client that was passed in is the caller's to close."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None and self._given is None:
            client.close()

    def _usable(self) -> Any:
        self._check_open()
        if self._is_forked():
            self._forget_parent(in_use=self._client is not None)
            self._client = None
        return self._client or self._new()

    def _transport(self, library: Any, options: dict[str, Any]) -> Any:
        transport = library.HTTPTransport(**options)
        if bound_pool(transport):
            self._extensions = {}
        return transport

    def _new(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client


def running_loop() -> "AbstractEventLoop":
    """Return the event loop of the task; raises ConfigurationError under another library than asyncio."""
    import asyncio  # which a synchronous client does not need

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        fault = ConfigurationError("AsyncTimeweb works in asyncio only: elsewhere, trio for one, call Timeweb in a thread")
    raise fault


class AsyncSession(Session):
    """The connections of an asynchronous client: one pool for each event loop that uses it."""

    kind = "AsyncClient"

    def __init__(self, base_url: str, token: "SecretStr | None", user_agent: str, given: Any, library: str) -> None:
        super().__init__(base_url, token, user_agent, given, library)
        self._clients: weakref.WeakKeyDictionary[AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    async def send(self, request: Request, timeouts: Timeouts, clock: Clock) -> Reply:
        transfer, is_saved = request.transfer, False
        try:
            client = self._usable()
            transfer.begin(partial(timeouts.moved, clock))
            try:
                built = self._build(client, request, timeouts, partial(asending, transfer))
                response = await client.send(built, auth=None, follow_redirects=False, stream=True)
                try:
                    self._forget_cookies(response)
                    reply = await aread(response, transfer)
                    is_saved = reply.is_saved
                finally:
                    await response.aclose()
            finally:
                transfer.end(whole=is_saved)
            return reply
        except Exception as error:
            ours = translate(error, timeouts)
            forget_frames(error)
            cause = None if ours is error or _quotes(error) else error
        # Out here the error has no context but the cause.
        raise ours from cause

    async def aclose(self) -> None:
        """Close our connections in this event loop; those of loops that are gone went with them."""
        self._closed = True
        client = self._clients.pop(running_loop(), None)
        self._clients.clear()
        if client is not None and self._given is None:
            await client.aclose()

    def _usable(self) -> Any:
        self._check_open()
        loop = running_loop()
        if self._is_forked():
            self._forget_parent(in_use=bool(self._clients))
            self._clients.clear()
        return self._clients.get(loop) or self._new_for(loop)

    def _transport(self, library: Any, options: dict[str, Any]) -> Any:
        return Pools(library, **options) if self._library == "httpx" else library.AsyncHTTPTransport(**options)

    def _new_for(self, loop: "AbstractEventLoop") -> Any:
        if self._given is not None and self._clients:
            raise ConfigurationError(
                "the http_client that was passed in belongs to another event loop: "
                "make one client per loop, or let AsyncTimeweb make its own"
            )
        with self._lock:
            for other in [other for other in self._clients if other.is_closed()]:
                del self._clients[other]
            client = self._clients[loop] = self._make()
        return client


@lru_cache(maxsize=2)
def _discreet(kind: Any) -> Any:
    """Return a class of URLs that hide secret parameters when they are written: the library logs each at INFO."""

    class DiscreetURL(kind):  # type: ignore[misc]
        def __str__(self) -> str:
            hidden = {name: STARS for name in self.params if is_secret_parameter(name)}
            return str(kind(self).copy_merge_params(hidden))

        __repr__ = __str__

    return DiscreetURL


@lru_cache(maxsize=256)
def _parsed(kind: Any, url: str) -> Any:
    """Parse a URL, which takes the HTTP library longer than all else about a request; most are asked for again."""
    return kind(url)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigurationError(f'{name} is not installed: pip install "timeweb-sdk[{name}]"') from error


def translate(error: Exception, timeouts: Timeouts) -> TimewebError:
    """Return our error for one of the HTTP library, or of whatever lies below it."""
    if isinstance(error, TimewebError):
        return error
    for cls in type(error).__mro__:
        if cls.__module__.partition(".")[0] not in ("httpx", "httpx2"):
            continue
        if cls.__name__ == "UnsupportedProtocol":
            return ConfigurationError(f"the request cannot be sent: {error}")
        if cls.__name__ == "InvalidURL":
            # Not of the request, which was built by then: the library looks at where a reply redirects, followed or not.
            return errors.ProtocolError("the reply redirects to what is no address", delivery="unknown")
        if cls.__name__ in _MEANING:
            kind, delivery = _MEANING[cls.__name__]
            text = _BAN.format(seconds=timeouts.connect) if kind is errors.ConnectTimeout else _describe(error, kind)
            return kind(text, delivery=delivery)
    if isinstance(error, ssl.SSLError):  # the asynchronous client lets those pass that come after the handshake
        return errors.ReadError(_describe(error, errors.ReadError), delivery="unknown")
    return TransportError(f"the HTTP client failed ({type(error).__name__})", delivery="unknown")


def overdue(error: TimeoutError, timeouts: Timeouts) -> TransportError:
    """Return the error for a task that was cancelled at the deadline; where it stood shows in the frames of its end."""
    cancelled = error.__cause__ or error.__context__
    functions = {frame.f_code.co_name for frame, _ in walk_tb(cancelled.__traceback__ if cancelled else None)}
    if functions & {"_connect", "wait_for_connection"}:  # as the HTTP library calls them
        return errors.ConnectTimeout(_BAN.format(seconds=timeouts.connect), delivery="not_sent")
    return errors.ReadTimeout("the deadline passed before the reply was here", delivery="unknown")


def _describe(error: Exception, kind: type[TransportError]) -> str:
    summary = (kind.__doc__ or kind.__name__).partition("\n")[0].rstrip(".")
    text = _QUOTATION.sub("", str(error))
    if "CERTIFICATE_VERIFY_FAILED" in text:
        text += "; if a proxy answers with certificates of its own, name the file of their authority in SSL_CERT_FILE"
    return f"{summary}: {text}" if text else summary


# What breaks HTTP may be anything, also a piece of a body.
_QUOTATION = re.compile(r"""[\s:]*(?:\b(?:bytearray|bytes)\(|\bb["']).*""", re.DOTALL)


def _quotes(error: Exception) -> bool:
    """Whether the text of the error quotes bytes that were sent or received."""
    return _QUOTATION.search(str(error)) is not None
