"""The clients: `Timeweb` and `AsyncTimeweb`."""

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Self, TypeVar

from pydantic import SecretStr
from typing_extensions import TypedDict, Unpack

from timeweb_sdk._core import clock
from timeweb_sdk._core.call import Call
from timeweb_sdk._core.credentials import NO_TOKEN, find_profile, find_token
from timeweb_sdk._core.drivers import drive, obey
from timeweb_sdk._core.engine import Execution, perform
from timeweb_sdk._core.events import Hook
from timeweb_sdk._core.logs import obey_environment
from timeweb_sdk._core.looks import alook, look
from timeweb_sdk._core.options import Options
from timeweb_sdk._core.pacing import gates_of
from timeweb_sdk._core.raw import RawArguments, raw_call
from timeweb_sdk._core.response import Response
from timeweb_sdk._core.settings import find_base_url, find_http_client, find_user_agent
from timeweb_sdk._core.streams import Progress
from timeweb_sdk._core.transport import AsyncSession, SyncSession, running_loop
from timeweb_sdk._core.types import NOT_GIVEN, FileContent, FileTarget, NotGiven
from timeweb_sdk._generated.client import AsyncResources, Resources
from timeweb_sdk.errors import ConfigurationError
from timeweb_sdk.limits import RateLimit
from timeweb_sdk.secrets import fingerprint

if TYPE_CHECKING:
    from timeweb_sdk._core.deleting import DeletionPlan, Leftover
    from timeweb_sdk._core.quoting import Quote
    from timeweb_sdk._core.transport import HttpClient

__all__ = ["AsyncTimeweb", "Timeweb"]

P = ParamSpec("P")
T = TypeVar("T")
_DOCUMENTED = RateLimit.documented()


class _CommonOptions(TypedDict, total=False):
    rate_limit: RateLimit
    max_retries: int
    timeout: float
    total_timeout: float
    read_only: bool
    strict: bool
    hooks: Iterable[Hook]
    max_response_bytes: int


class OptionChanges(_CommonOptions, total=False):
    """What `with_options` takes; see `Timeweb`."""

    progress: Callable[[Progress], object] | None


class ClientOptions(_CommonOptions, total=False):
    """What a client takes apart from its token; see `Timeweb`."""

    base_url: str | None
    account: str | None
    application: str | None
    allow_http: bool | None
    http_client: Any
    """A client of httpx or httpx2, or the name of the library."""


class _Client:
    """What both clients share: settings, and views with other settings."""

    _sessions: type[SyncSession] | type[AsyncSession]
    _session: Any

    def __init__(
        self,
        token: str | SecretStr | None = None,
        *,
        base_url: str | None = None,
        account: str | None = None,
        rate_limit: RateLimit = _DOCUMENTED,
        max_retries: int = 4,
        timeout: float = 60,
        total_timeout: float = 180,
        read_only: bool = False,
        strict: bool = False,
        hooks: Iterable[Hook] = (),
        max_response_bytes: int = 256_000_000,
        application: str | None = None,
        allow_http: bool | None = None,
        http_client: "HttpClient | None" = None,
    ) -> None:
        self._options = Options(
            rate_limit=rate_limit,
            max_retries=max_retries,
            timeout=timeout,
            total_timeout=total_timeout,
            read_only=read_only,
            strict=strict,
            hooks=hooks,
            max_response_bytes=max_response_bytes,
        )
        obey_environment()
        self._token, self._token_source = find_token(token)
        url = find_base_url(base_url, allow_http)
        self._account = (url, account or fingerprint(self._token))
        http = find_http_client(http_client, self._sessions.kind)
        self._session = self._sessions(url, self._token, find_user_agent(application), *http)

    @classmethod
    def from_profile(
        cls, name: str | None = None, *, file: str | os.PathLike[str] | None = None, **options: Unpack[ClientOptions]
    ) -> Self:
        """Make a client with the token of a profile that the vendor's command line (`twc config`) keeps.

        Args:
            name: The profile: a section with a `token`. Else TWC_PROFILE, then `default`.
            file: Else TWC_CONFIG_FILE, then `~/.twcrc`.
            options: What else the client takes, see `Timeweb`.

        Raises ConfigurationError, which names the file, where there is no such profile or no token in it.
        """
        token, source = find_profile(name, file)
        make: Any = cls
        client: Self = make(token, **options)
        client._token_source = source
        return client

    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """Return a view of this client with other options. It shares the connections: closing one closes both.

        It takes `rate_limit`, `max_retries`, `timeout`, `total_timeout`, `read_only`, `strict`, `hooks` and
        `max_response_bytes`, see `Timeweb`; and `progress`, a function that is called with a `Progress` for each piece of a
        file that is sent, or written by `to=…`.
        """
        view = object.__new__(type(self))
        view._session, view._account = self._session, self._account
        view._token, view._token_source = self._token, self._token_source
        view._options = self._options.changed(dict(changes))
        return view

    def _execution(self, call: Call, now: clock.Clock) -> Execution:
        if self._token is None:
            raise ConfigurationError(NO_TOKEN, operation=call.operation.id)
        gates = gates_of(self._options.rate_limit, self._account, call.operation.method, call.operation.path)
        return Execution(call, self._options, gates, now, self._token, self._token_source)

    @property
    def total_timeout(self) -> float:
        """Seconds for a call with all its waiting, pacing and repeating."""
        return self._options.total_timeout

    @property
    def base_url(self) -> str:
        """The address that calls go to."""
        return self._account[0]

    @property
    def token_source(self) -> str:
        """Where the token came from: an argument, the name of a variable, a profile; empty without a token."""
        return self._token_source

    @property
    def token_fingerprint(self) -> str:
        """What tells this token from another without revealing either; empty without a token."""
        return fingerprint(self._token)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._account[0]}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a token and connections and is not pickled: make one where it is needed")


class Timeweb(_Client, Resources):
    """The synchronous client. Threads may share it.

    Args:
        token: Else TIMEWEB_API_TOKEN, TIMEWEB_CLOUD_TOKEN, TWC_TOKEN, in this order; see also `from_profile`. Without one the
            first call raises ConfigurationError.
        base_url: Else TIMEWEB_BASE_URL, then the public API.
        account: A name for the account, where several tokens of one account shall share its rate limit.
        rate_limit: The pace; the documented limit unless given. See `RateLimit`.
        max_retries: How often a call is repeated at most.
        timeout: Seconds to wait for a reply to one attempt (to connect: at most 10).
        total_timeout: Seconds for a call with all its waiting, pacing and repeating; one attempt may run over it by `timeout`.
        read_only: Raise ReadOnlyError for every method but GET.
        strict: Raise DecodeError where a reply differs from the contract.
        hooks: Functions that are called with an `Event` for each request, response and retry.
        max_response_bytes: How much of a reply may be held in memory, counted after decompression; more is ResponseTooLarge.
        application: The name of your program, e.g. `billing/2.1`, which the API sees before ours in `User-Agent`.
        allow_http: Let the token go unencrypted to another machine than this one (else TIMEWEB_ALLOW_HTTP).
        http_client: A client of httpx or httpx2 to use, which the caller closes; or "httpx2" to have one made
            (else TIMEWEB_HTTP_CLIENT, then "httpx").
    """

    _sessions = SyncSession

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = NOT_GIVEN,
        content: FileContent | NotGiven = NOT_GIVEN,
        to: FileTarget | NotGiven = NOT_GIVEN,
    ) -> Any:
        """Call any path of the API under the same limits, retries and errors; returns the body as it came.

        That is what JSON decodes to, str for text, bytes for anything else, None for an empty body.

        Args:
            method: GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE. It decides what is repeated: POST and PATCH only if they
                never left or were refused.
            path: From its first slash on, percent-encoded, e.g. `/api/v1/servers`.
            query: Parameters; a list repeats its name, None is left out.
            json: The body; without it none is sent.
            content: In place of `json` a body as it is: a path, a file opened in binary mode, or bytes.
            to: A path, or a file opened in binary mode, that the reply goes into; then nothing but b"" is returned.
        """
        given = RawArguments(query or {}, json, content, to)
        del query, json, content  # a traceback with locals would show them
        return self._execute(raw_call(method, path, given)).data

    def create_once(self, create: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make what costs money, and make it once: `tw.create_once(tw.servers.create, name="web-2", …)`.

        It writes down what is there, calls `create` with the arguments, and if the call may have been carried out although
        it failed (`error.may_be_done`), or its reply lacks what was made, it looks for up to `total_timeout` seconds, after
        waits that double. What was not there before and has the name that was asked for (or, where things have no names,
        all that was asked for) is returned as `get` shows it; what only the reply to `create` tells, such as the secret key
        of a user, that does not have.

        Raises the error of `create` if nothing came: then look again later, before you repeat it. Raises AmbiguousOrder if
        several came, TimewebError if what is there could not be listed, and then nothing was ordered.
        """
        from timeweb_sdk._core.ordering import make_steps
        from timeweb_sdk._core.resource import Arguments, Resource

        given = Arguments(args, kwargs)
        del args, kwargs  # a traceback with locals would show them
        made: T = look(make_steps(create, given, Resource))
        return made

    def quote(self, create: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> "Quote":
        """Tell what an order would cost per month, before it is sent: `tw.quote(tw.servers.create, name="web-2", …)`.

        It sends GET only. `quote.monthly` is the sum of what has a price (a preset, a public IPv4 if the account has one
        already), in RUB before the discount of the account; `quote.unknown` says what else the order asks for.
        """
        from timeweb_sdk._core.quoting import quote_steps
        from timeweb_sdk._core.resource import Arguments, Resource

        given = Arguments(args, kwargs)
        del args, kwargs  # a traceback with locals would show them
        return look(quote_steps(self, create, given, Resource))

    def plan_deletion(self, delete: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> "DeletionPlan":
        """Tell what a deletion would end and leave behind, before it is sent: `tw.plan_deletion(tw.servers.delete, 123456)`.

        For servers, balancers, databases and routers; it sends GET only. `plan.monthly` ends with the thing; `plan.leftovers`
        (its floating IPs, and of a server the network drives mounted on it and the images made of its disks) go on costing
        `plan.remaining` until they are deleted, see `delete_planned`. Disks of a server and their backups go with it.

        Raises NotFoundError if there is no such thing, TimewebError if a list did not come whole.
        """
        from timeweb_sdk._core.deleting import plan_steps
        from timeweb_sdk._core.resource import Arguments, Resource

        return look(plan_steps(self, delete, Arguments(args, kwargs), Resource))

    def delete_planned(
        self, plan: "DeletionPlan", *, also: "Iterable[Leftover]", hash: str | None = None, code: str | None = None
    ) -> "tuple[Leftover, ...]":
        """Delete what was planned, then those of its leftovers that are named: `tw.delete_planned(plan, also=plan.leftovers)`.

        Args:
            plan: From `plan_deletion`.
            also: Some of `plan.leftovers`; `()` keeps them all.
            hash: What `ConfirmationRequired` had, if the account confirms deletions.
            code: What its owner was sent then.

        Returns those that were kept because meanwhile they serve something else, which is looked up right before. An address
        that still serves the deleted thing is waited for, up to `total_timeout` seconds in all.

        Raises the error of the first call that fails. What is gone by then stays so: call again with the same plan, which
        takes what is not there any more for done. ConfigurationError for leftovers of another plan, before anything is sent.
        """
        from timeweb_sdk._core.deleting import deletion_steps

        return look(deletion_steps(self, plan, also, {"hash": hash, "code": code}))

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _execute(self, call: Call) -> Response[Any]:
        now = clock.current()
        return drive(perform(self._execution(call, now)), partial(obey, self._session, now))


class AsyncTimeweb(_Client, AsyncResources):
    """The asynchronous client, for asyncio. Takes what `Timeweb` takes; `total_timeout` is exact."""

    _sessions = AsyncSession

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = NOT_GIVEN,
        content: FileContent | NotGiven = NOT_GIVEN,
        to: FileTarget | NotGiven = NOT_GIVEN,
    ) -> Any:
        """Call any path of the API, as `Timeweb.request` does."""
        given = RawArguments(query or {}, json, content, to)
        del query, json, content  # a traceback with locals would show them
        return (await self._execute(raw_call(method, path, given))).data

    async def create_once(self, create: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make what costs money, and make it once, as `Timeweb.create_once` does."""
        from timeweb_sdk._core.ordering import make_steps
        from timeweb_sdk._core.resource import Arguments, AsyncResource

        given = Arguments(args, kwargs)
        del args, kwargs
        made: T = await alook(make_steps(create, given, AsyncResource))
        return made

    async def quote(self, create: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> "Quote":
        """Tell what an order would cost per month, before it is sent, as `Timeweb.quote` does."""
        from timeweb_sdk._core.quoting import quote_steps
        from timeweb_sdk._core.resource import Arguments, AsyncResource

        given = Arguments(args, kwargs)
        del args, kwargs
        return await alook(quote_steps(self, create, given, AsyncResource))

    async def plan_deletion(self, delete: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> "DeletionPlan":
        """Tell what a deletion would end and leave behind, before it is sent, as `Timeweb.plan_deletion` does."""
        from timeweb_sdk._core.deleting import plan_steps
        from timeweb_sdk._core.resource import Arguments, AsyncResource

        return await alook(plan_steps(self, delete, Arguments(args, kwargs), AsyncResource))

    async def delete_planned(
        self, plan: "DeletionPlan", *, also: "Iterable[Leftover]", hash: str | None = None, code: str | None = None
    ) -> "tuple[Leftover, ...]":
        """Delete what was planned, then those of its leftovers that are named, as `Timeweb.delete_planned` does."""
        from timeweb_sdk._core.deleting import deletion_steps

        return await alook(deletion_steps(self, plan, also, {"hash": hash, "code": code}))

    async def aclose(self) -> None:
        """Close the connections; calling it again does nothing."""
        await self._session.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _execute(self, call: Call) -> Response[Any]:
        now = clock.current()
        run = self._execution(call, now)
        run.is_gone = running_loop().is_closed
        from timeweb_sdk._core.async_driver import adrive, aobey

        return await adrive(perform(run), partial(aobey, self._session, now))
