"""`with_response` as it is and as type checkers see it: `nox -s types` judges each `assert_type` and `type: ignore`."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, assert_type

from tests.sdk.stub_server import StubServer, answer
from timeweb_sdk import AsyncPage, AsyncTimeweb, Page, Response, Timeweb
from timeweb_sdk._generated import resources
from timeweb_sdk.models import DnsRecord, Server, ServerDisk
from timeweb_sdk.operations import OPERATIONS

SERVER = answer(200, {"server": {"id": 1, "name": "web", "status": "on"}})
REPLIES = (
    SERVER,
    answer(200, {"servers": [{"id": 1, "name": "web"}], "meta": {"total": 1}}),
    answer(204),
    answer(200, {"server_disk": {"id": 2}}),
    answer(200, {"dns_record": {"id": 3, "type": "A"}}),
    SERVER,
)


def test_sync_replies_are_typed(server: StubServer) -> None:
    server.play(*REPLIES)
    with Timeweb("token", base_url=server.url) as tw:
        reply = tw.servers.with_response.get(1)
        assert_type(reply, Response[Server])
        assert_type(reply.data.name, str)
        assert reply.data.name == "web"

        listing = tw.servers.with_response.list(limit=5)
        assert_type(listing, Response[Page[Server]])
        assert [item.name for item in listing.data] == ["web"]

        assert_type(tw.servers.with_response.reboot(1), Response[None])

        disk = tw.servers.disks.with_response.get(1, 2)
        assert_type(disk, Response[ServerDisk])
        assert disk.data.id == 2

        record = tw.domains.dns_records.with_response.create("example.com", type="A", value="203.0.113.1")
        assert_type(record, Response[DnsRecord])
        assert record.data.id == 3

        waited = tw.servers.with_response.wait_for(1, status="on")
        assert_type(waited, Response[Server])
        assert waited.data.status == "on"


def test_async_replies_are_typed(server: StubServer) -> None:
    server.play(*REPLIES)

    async def main() -> None:
        async with AsyncTimeweb("token", base_url=server.url) as tw:
            reply = await assert_type(tw.servers.with_response.get(1), Coroutine[Any, Any, Response[Server]])
            assert_type(reply.data.name, str)
            assert reply.data.name == "web"

            listing = await tw.servers.with_response.list(limit=5)
            assert_type(listing, Response[AsyncPage[Server]])
            assert [item.name async for item in listing.data] == ["web"]

            assert_type(await tw.servers.with_response.reboot(1), Response[None])

            disk = await tw.servers.disks.with_response.get(1, 2)
            assert_type(disk, Response[ServerDisk])
            assert disk.data.id == 2

            record = await tw.domains.dns_records.with_response.create("example.com", type="A", value="203.0.113.1")
            assert_type(record, Response[DnsRecord])
            assert record.data.id == 3

            waited = await tw.servers.with_response.wait_for(1, status="on")
            assert_type(waited, Response[Server])
            assert waited.data.status == "on"

    asyncio.run(main())


def wrong_calls_are_refused_by_type_checkers(tw: Timeweb, atw: AsyncTimeweb) -> None:
    """Never called: an ignored error that is none fails the type check."""
    tw.servers.with_response.get("1")  # type: ignore[arg-type]
    tw.servers.with_response.list(page=2)  # type: ignore[call-arg]
    tw.domains.dns_records.with_response.create("example.com", type="MX", value="203.0.113.1")  # type: ignore[call-overload]
    tw.servers.with_response.disks  # type: ignore[attr-defined]  # noqa: B018
    tw.account.with_response.get  # type: ignore[attr-defined]  # noqa: B018
    atw.servers.with_response.get("1")  # type: ignore[arg-type, unused-coroutine]


def test_what_type_checkers_see_is_what_is_there() -> None:
    """The view of every resource names exactly the methods that `with_response` has."""
    seen: dict[str, set[str]] = {}
    for path in Path(resources.__path__[0]).glob("*.py"):
        views = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef))
        seen |= {view.name: {_assigned(line) for line in view.body} for view in views if view.name.endswith("WithResponse")}
    for client in (Timeweb("token"), AsyncTimeweb("token")):
        for attribute in sorted({operation.attribute.rpartition(".")[0] for operation in OPERATIONS.values()}):
            node: Any = client
            for name in attribute.split("."):
                node = getattr(node, name)
            view = type(node).__name__.removesuffix("Resource") + "WithResponse"
            assert seen.pop(view) == {*dir(node.with_response)}
    assert seen == {}


def _assigned(line: ast.stmt) -> str:
    assert isinstance(line, ast.Assign)
    assert isinstance(line.targets[0], ast.Name)
    return line.targets[0].id
