"""`TimewebService`: the names that the CRM's code calls, on top of the SDK.

What replaces what is tabulated in docs/crm-design.md. A failure raises the SDK's error; it is never an empty list.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from crm_adapter.errors import NotConfigured
from crm_adapter.payload import as_int, plain
from crm_adapter.settings import DEFAULT_ACCOUNT, load_settings
from crm_adapter.sync.costs import read_costs, read_finances, read_presets, reconcile, resolve
from crm_adapter.sync.mapping import get_primary_ip, parse_server_configuration
from timeweb_sdk.errors import NotFoundError

if TYPE_CHECKING:
    from timeweb_sdk import AsyncTimeweb


class TimewebService:
    """Reads one account. Dicts are the API's, without `root_pass`, `vnc_pass`, `cloud_init` and other secrets."""

    def __init__(self, api_token: str | None = None, *, account: str | None = None, client: AsyncTimeweb | None = None) -> None:
        """`client` is used as it is and never closed; else the token (argument, environment, `.env`) opens one per call."""
        self._token = api_token
        self._account = account
        self._client = client

    def is_configured(self) -> bool:
        """Whether there is a token (or a client)."""
        return self._client is not None or self._find_token() is not None

    @property
    def api_token(self) -> str | None:
        """The token in clear, for code that asks whether there is one; None without one. Never log it."""
        return self._find_token()

    async def get_servers(self) -> list[dict[str, Any]]:
        """All servers of the account, every page. Raises the SDK's errors."""
        async with self._open() as timeweb:
            return [plain(server) async for server in timeweb.servers.list(limit=100)]

    async def get_server_details(self, server_id: int) -> dict[str, Any] | None:
        """One server; None when Timeweb itself says that there is none. Raises the SDK's errors for anything else.

        A 404 of something before the API is an `EdgeError` and no proof: whoever deletes a row on None must not be misled.
        """
        async with self._open() as timeweb:
            try:
                return plain(await timeweb.servers.get(server_id))
            except NotFoundError:
                return None

    async def get_account_finances(self) -> dict[str, Any]:
        """Balance, costs and fees; RUB, per month or hour as the key says."""
        async with self._open() as timeweb:
            return plain(await timeweb.account.finances.get())

    async def get_presets(self) -> list[dict[str, Any]]:
        """Presets on sale; `price` in RUB per month, `ram` and `disk` in MB."""
        async with self._open() as timeweb:
            return [plain(preset) async for preset in timeweb.presets.servers.list()]

    async def get_server_price(self, server: object) -> float | None:
        """What a server (the API's dict, or a model) costs, RUB per month; None when nobody knows.

        As a sync does it: the server's row in the account's list of costs, which includes address, disks and backups, after
        the account's discount; else the price of its preset. Raises the SDK's errors.
        """
        data = plain(server)
        async with self._open() as timeweb:
            costs = read_costs([item async for item in timeweb.account.services.cost.list()])
            factor = reconcile(costs, read_finances(await timeweb.account.finances.get())).factor
            row = costs.servers.get(as_int(data.get("id")) or 0)
            preset_id = as_int(data.get("preset_id")) if row is None else None
            presets = read_presets([item async for item in timeweb.presets.servers.list()]) if preset_id is not None else {}
        net = resolve(row, presets.get(preset_id or 0), factor, None).net
        return float(net) if net is not None else None

    async def get_preset_price(self, preset_id: int) -> float | None:
        """The list price of a preset, RUB per month, without address and before the account's discount; None when not on sale.

        Raises the SDK's errors.
        """
        async with self._open() as timeweb:
            price = read_presets([item async for item in timeweb.presets.servers.list()]).get(preset_id)
        return float(price) if price is not None else None

    async def get_configurators(self) -> list[dict[str, Any]]:
        """Configurators on sale: limits and steps, sizes in MB. No prices: the contract has none. Raises the SDK's errors."""
        async with self._open() as timeweb:
            return [plain(configurator) async for configurator in timeweb.configurator.servers.list()]

    async def get_configurator_price(self, configurator_id: int, server: object) -> float | None:
        """What a server of a configurator costs, RUB per month: only the list of costs knows it; None for one not in it.

        `configurator_id` is what the old name took; no price follows from it. Raises the SDK's errors.
        """
        return await self.get_server_price({**plain(server), "preset_id": None})

    def parse_server_configuration(self, server: object) -> str:
        """See `crm_adapter.parse_server_configuration`."""
        return parse_server_configuration(server)

    def get_primary_ip(self, server: object) -> str | None:
        """See `crm_adapter.get_primary_ip`."""
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
        from crm_adapter.wiring import client_options
        from timeweb_sdk import AsyncTimeweb

        token = self._find_token()
        if token is None:
            raise NotConfigured("no Timeweb token: set TIMEWEB_API_TOKEN in the environment or in .env")
        async with AsyncTimeweb(token, **client_options(load_settings())) as timeweb:
            yield timeweb


timeweb_service = TimewebService()
