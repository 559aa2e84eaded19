"""``TimewebService``: the names that the CRM's code calls, on top of the SDK.

What replaces what is tabulated in docs/crm-design.md.  A failure raises the SDK's error; it is never an empty list.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from crm_adapter.errors import NotConfigured
from crm_adapter.payload import plain
from crm_adapter.settings import DEFAULT_ACCOUNT, load_settings
from crm_adapter.sync.mapping import get_primary_ip, parse_server_configuration

if TYPE_CHECKING:
    from timeweb_sdk import AsyncTimeweb


class TimewebService:
    """Reads one account.  Dicts are the API's, without ``root_pass``, ``vnc_pass``, ``cloud_init`` and other secrets."""

    def __init__(self, token: str | None = None, *, account: str | None = None, client: AsyncTimeweb | None = None) -> None:
        """``client`` is used as it is and never closed; else the token (argument, environment, ``.env``) opens one per call."""
        self._token = token
        self._account = account
        self._client = client

    def is_configured(self) -> bool:
        """Whether there is a token (or a client)."""
        return self._client is not None or self._find_token() is not None

    async def get_servers(self) -> list[dict[str, Any]]:
        """All servers of the account, every page.  Raises the SDK's errors."""
        async with self._open() as timeweb:
            return [plain(server) async for server in timeweb.servers.list(limit=100)]

    async def get_server_details(self, server_id: int) -> dict[str, Any]:
        """One server.  Raises ``NotFoundError`` when Timeweb does not know it."""
        async with self._open() as timeweb:
            return plain(await timeweb.servers.get(server_id))

    async def get_account_finances(self) -> dict[str, Any]:
        """Balance, costs and fees; RUB, per month or hour as the key says."""
        async with self._open() as timeweb:
            return plain(await timeweb.account.finances.get())

    async def get_presets(self) -> list[dict[str, Any]]:
        """Presets on sale; ``price`` in RUB per month, ``ram`` and ``disk`` in MB."""
        async with self._open() as timeweb:
            return [plain(preset) async for preset in timeweb.presets.servers.list()]

    def parse_server_configuration(self, server: object) -> str:
        """See ``crm_adapter.parse_server_configuration``."""
        return parse_server_configuration(server)

    def get_primary_ip(self, server: object) -> str | None:
        """See ``crm_adapter.get_primary_ip``."""
        return get_primary_ip(server)

    def _find_token(self) -> str | None:
        if self._token is not None:
            return self._token
        tokens = load_settings().tokens
        token = tokens.get(self._account or DEFAULT_ACCOUNT)
        if token is None and self._account is None and tokens:
            token = next(iter(tokens.values()))
        return token.get_secret_value() if token else None

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[AsyncTimeweb]:
        if self._client is not None:
            yield self._client
            return
        from timeweb_sdk import AsyncTimeweb, RateLimit

        token = self._find_token()
        if token is None:
            raise NotConfigured("no Timeweb token: set TIMEWEB_API_TOKEN in the environment or in .env")
        base_url = load_settings().timeweb_base_url
        async with AsyncTimeweb(token, base_url=base_url, rate_limit=RateLimit.gentle(), read_only=True) as timeweb:
            yield timeweb


timeweb_service = TimewebService()
