"""Configuration from the environment and from `.env`.

Every variable is optional. Values are checked once, when they are loaded, and a wrong one raises
`SettingsError` that names the variable and the remedy; a secret value is never repeated.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from crm_adapter.narrow import is_list
from crm_adapter.steps import ACCOUNT_LENGTH, DEFAULT_ACCOUNT, account_problem
from crm_adapter.text import settings as words
from crm_adapter.text.problems import problem
from timeweb_sdk import Timeweb
from timeweb_sdk.errors import ConfigurationError

try:
    from dotenv import dotenv_values
    from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
except ImportError as exc:  # pragma: no cover - exercised in a bare environment
    raise ImportError("crm_adapter needs the extra [crm]: pip install 'timeweb-sdk[crm]'") from exc

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_ACCOUNT", "Problem", "Settings", "SettingsError", "load_settings"]


_DRIVERS = {
    "sqlite": ("sqlite", "sqlite+aiosqlite"),
    "postgresql": ("postgresql+psycopg", "postgresql+psycopg"),
    "mysql": ("mysql+pymysql", "mysql+asyncmy"),
    "mariadb": ("mariadb+pymysql", "mariadb+asyncmy"),
}
"""Drivers chosen for a URL that names only the database: (threads, asyncio)."""
_ASYNC_ONLY = frozenset({"aiomysql", "aiosqlite", "asyncmy", "asyncpg", "psycopg_async"})
"""Drivers that serve one side only; a CRM's own URL often names the one for asyncio."""
_BOTH = frozenset({"psycopg"})
#: Parameter of psycopg that an address may carry: after how many runs a statement is prepared on the server.
PREPARE_THRESHOLD = "prepare_threshold"


class Problem(NamedTuple):
    """One wrong setting: the variable and what to do about it, in both languages."""

    variable: str
    english: str
    russian: str


class SettingsError(ConfigurationError):
    """The environment or `.env` holds unusable values; `problems` lists all of them at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{problem.variable}: {problem.english}" for problem in problems))

    @property
    def russian(self) -> str:
        """The same message for the people who read the command line."""
        return "; ".join(f"{problem.variable}: {problem.russian}" for problem in self.problems)

    def __reduce__(self) -> tuple[type[SettingsError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def _wrong(text: words.Words) -> PydanticCustomError:
    # Braces in a value would be read as placeholders by pydantic's message template.
    return PydanticCustomError("setting", "{english}", text._asdict())


def _token(value: object) -> object:
    """A token goes into an HTTP header, so what cannot stand there is refused here and not at the first call."""
    if value is None:
        return None
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        raise _wrong(words.NO_TEXT)
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or re.search(r"\s", text):
        raise _wrong(words.TOKEN)
    return SecretStr(text)


def _tokens(value: object) -> object:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except ValueError:
            value = None  # the message below must not repeat what may be a token
    if not isinstance(value, dict):
        raise _wrong(words.TOKENS)
    given = cast("dict[object, object]", value)
    tokens = {str(name).strip(): _token(token) for name, token in given.items()}
    if not all(name and token for name, token in tokens.items()):
        raise _wrong(words.EMPTY_TOKEN)
    if any(account_problem(name) for name in tokens):
        raise _wrong(words.account_name(ACCOUNT_LENGTH))
    return tokens


def _database_url(value: object) -> object:
    if isinstance(value, URL):
        url = value
    else:
        try:
            url = make_url(str(value).strip())
        except (ArgumentError, ValueError):
            # The text of a ValueError repeats what stands where a port should, which may be a part of the password.
            raise _wrong(words.DATABASE) from None
    if url.get_backend_name() not in _DRIVERS:
        known = ", ".join(_DRIVERS)
        raise _wrong(words.no_database(url.get_backend_name(), known))
    threshold = url.query.get(PREPARE_THRESHOLD, "none")
    # To psycopg 0 means "prepare at once", to others "never": whoever writes it is asked which.
    if threshold != "none" and not (isinstance(threshold, str) and re.fullmatch(r"[1-9]\d{0,6}", threshold)):
        raise _wrong(words.prepare_threshold(PREPARE_THRESHOLD, threshold))
    return url


def _notify_urls(value: object) -> object:
    """A JSON list, or addresses separated by white space or by commas that start the next address."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        try:
            urls: object = json.loads(text)
        except ValueError:
            urls = None
        if not is_list(urls) or not all(isinstance(url, str) for url in urls):
            raise _wrong(words.ADDRESSES)
        return urls
    return [part for part in re.split(r"\s*,\s*(?=\w+://)|\s+", text) if part]


def _is_accepted(address: str, *, allow_http: bool) -> bool:
    """Whether a client can be made for the address: what one may look like is the SDK's rule."""
    try:
        Timeweb("-", base_url=address, allow_http=allow_http)
    except ConfigurationError:
        return False
    return True


_Kind = TypeVar("_Kind", bound="_Zone")


class _Zone(BaseSettings):
    """The one setting that functions read by themselves when nobody gave it."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        frozen=True,
    )

    hosting_tz: str = "Europe/Moscow"

    @field_validator("hosting_tz")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError):
            raise _wrong(words.zone(value)) from None
        return value


class Settings(_Zone):
    """All settings of the adapter; the environment wins over `.env`. An empty variable counts as unset."""

    timeweb_api_token: Annotated[SecretStr | None, BeforeValidator(_token)] = Field(
        None, validation_alias=AliasChoices("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN", "TWC_TOKEN", "timeweb_api_token")
    )
    timeweb_api_tokens: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_tokens)] = Field(default_factory=dict)
    timeweb_allow_http: bool = False
    """Whether the token may go unencrypted to another machine than this one."""
    timeweb_base_url: str | None = None
    # Its own repr hides the password, but not what stands in the query part.
    hosting_database_url: Annotated[URL, NoDecode, BeforeValidator(_database_url)] = Field(
        make_url("sqlite:///hosting.sqlite3"), repr=False
    )
    timeweb_sync_stale_after: Annotated[int, Field(ge=1)] = 300
    """Seconds after which an open page asks Timeweb again."""
    timeweb_auto_import: bool = True
    timeweb_link_policy: Literal["ip", "suggest", "off"] = "ip"
    hosting_notify_urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_notify_urls)] = ()
    timeweb_redis_url: SecretStr | None = None
    timeweb_address_rate: Annotated[float, Field(ge=0.1, le=20)] = 2
    """Requests a second that all accounts together send from one address: Timeweb's protection bans addresses."""
    hosting_keep_days: Annotated[int, Field(ge=31, le=36_500)] = 400
    """Days that finished runs and sent events are kept. Keys of reminders name a day: a month bars it from coming again."""
    hosting_keep_changes_days: Annotated[int, Field(ge=31, le=36_500)] | None = None
    """Days that the change log is kept; None: for ever."""

    @field_validator("timeweb_base_url")
    @classmethod
    def _check_base_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value:
            return None
        scheme, mark, rest = value.rpartition("://")
        shown = f"{scheme}{mark}{unquote(rest).rpartition('@')[2]}"
        if not _is_accepted(value, allow_http=True):
            raise _wrong(words.base_url(shown))
        if not _is_accepted(value, allow_http=info.data.get("timeweb_allow_http") is True):
            raise _wrong(words.unencrypted(shown))
        return value.rstrip("/")

    @field_validator("timeweb_redis_url")
    @classmethod
    def _check_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"(rediss?|unix)://", value.get_secret_value()):
            raise _wrong(words.REDIS)
        return value

    @property
    def tokens(self) -> dict[str, SecretStr]:
        """Account name -> token, the single token under the name `default` unless the list names it itself."""
        single = {DEFAULT_ACCOUNT: self.timeweb_api_token} if self.timeweb_api_token else {}
        return single | self.timeweb_api_tokens

    @property
    def is_configured(self) -> bool:
        """Whether there is a token at all."""
        return bool(self.tokens)

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which people read instants and in which "today" begins."""
        return ZoneInfo(self.hosting_tz)

    @property
    def database_url(self) -> URL:
        """The database for code that runs in threads; its repr masks the password."""
        return self._with_driver(0)

    @property
    def shown_database_url(self) -> str:
        """The database for people's eyes: without the password, and without the query part, where another may stand."""
        return self.database_url.set(query={}).render_as_string(hide_password=True)

    @property
    def foreign_host(self) -> str | None:
        """The host that gets the tokens where it is not Timeweb's: an emulator, a gateway of one's own, or somebody's trick."""
        host = urlsplit(self.timeweb_base_url).hostname if self.timeweb_base_url else None
        return host if host != "api.timeweb.cloud" else None

    @property
    def async_database_url(self) -> URL:
        """The same database with an asyncio driver."""
        return self._with_driver(1)

    def _with_driver(self, position: int) -> URL:
        url = self.hosting_database_url
        backend = url.get_backend_name()
        chosen = url.drivername.partition("+")[2]
        # A driver that the host chose stays, unless it cannot serve this side.
        if chosen and (chosen in _BOTH or (chosen in _ASYNC_ONLY) == bool(position)):
            return url
        return url.set(drivername=_DRIVERS[backend][position])


def load_settings(values: Mapping[str, Any] | None = None, *, env_file: str | None = ".env") -> Settings:
    """Read and check the configuration.

    `values` override the environment by lower-case variable name. Raises `SettingsError`.
    """
    return _load(Settings, values or {}, env_file)


def hosting_zone() -> str:
    """`HOSTING_TZ` alone, from the environment or `.env`. Raises `SettingsError`."""
    return _load(_Zone, {}, ".env").hosting_tz


def _load(kind: type[_Kind], values: Mapping[str, Any], env_file: str | None) -> _Kind:
    arguments: dict[str, Any] = {"_env_file": env_file, **values}
    try:
        settings = kind(**arguments)
        if kind is Settings and env_file is not None and not arguments.keys() & {"timeweb_base_url", *_TOKENS}:
            _check_sources(env_file)
        return settings
    except ValidationError as error:
        problems = tuple(_problem(detail) for detail in error.errors(include_url=False, include_input=False))
        raise SettingsError(problems) from None
    except UnicodeDecodeError:
        raise SettingsError((Problem(str(env_file), *words.ENCODING),)) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError((Problem(str(env_file), *words.unreadable(reason)),)) from None


_TOKENS = ("timeweb_api_token", "timeweb_cloud_token", "twc_token", "timeweb_api_tokens")


def _check_sources(env_file: str) -> None:
    """The folder that a command is run in must not decide where the token of the shell is sent; raises `SettingsError`."""
    in_file = {name.lower() for name, value in dotenv_values(env_file).items() if value}
    in_shell = {name.lower() for name, value in os.environ.items() if value}
    if "timeweb_base_url" not in in_file - in_shell or not in_shell.intersection(_TOKENS):
        return
    raise SettingsError((Problem("TIMEWEB_BASE_URL", *words.two_sources(env_file)),))


def _problem(detail: Mapping[str, Any]) -> Problem:
    variable = str(detail["loc"][0]).upper() if detail["loc"] else "environment"
    context = detail.get("ctx", {})
    english = str(detail["msg"])
    return Problem(variable, english, str(context.get("russian") or problem(str(detail["type"]), context) or english))
