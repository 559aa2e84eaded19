"""`plan_deletion` and `delete_planned`: all that would go on costing is shown, nothing that was not named is deleted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from timeweb_sdk import AsyncTimeweb, ConfigurationError, ConfirmationRequired, DeletionPlan, Leftover, Timeweb, TimewebError
from timeweb_sdk._core import clock as clocks
from timeweb_sdk.testing import Emulator, demo_state
from timeweb_sdk.testing._faults import Fault

SERVER = 4100134
"""Of the demo; a disk is charged for within its row."""
ADDRESS = "203.0.113.20"


class FakeClock:
    """Time passes only while somebody sleeps; `wakes` is what happens meanwhile."""

    now = 1000.0

    def __init__(self, wakes: Callable[[], object] = lambda: None) -> None:
        self.wakes = wakes

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds
        self.wakes()

    async def asleep(self, seconds: float, /) -> None:
        self.sleep(seconds)


@pytest.fixture
def emulator() -> Emulator:
    """The demo, with an image of the server's disk and a drive mounted on it."""
    return furnished()


def furnished(**options: Any) -> Emulator:
    emulator = Emulator(demo_state(), rate_limit=False, **options)
    tw = emulator.client()
    state = emulator.state
    disk = tw.servers.disks.list(SERVER).items[0].id
    state["images"][0]["disk_id"] = disk
    state["network_drives"][0]["service_list"] = [{"resource_id": SERVER, "resource_type": "server"}]
    emulator.requests.clear()
    return emulator


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def clients(emulator: Emulator, **options: Any) -> Iterable[Timeweb | AsyncTimeweb]:
    return emulator.client(**options), emulator.async_client(**options)


def everything(emulator: Emulator) -> set[str]:
    """What costs, by kind and id."""
    collections = {"server": "servers", "floating_ip": "ips", "network_drive": "network_drives", "image": "images"}
    return {f"{kind} {each['id']}" for kind, name in collections.items() for each in emulator.state[name]}


def named(leftovers: Iterable[Leftover]) -> set[str]:
    return {f"{each.kind} {each.id}" for each in leftovers}


async def test_a_plan_tells_what_ends_and_what_stays_and_sends_get_only(emulator: Emulator) -> None:
    plans: list[DeletionPlan] = []
    for client in clients(emulator):
        delete: Any = client.servers.delete
        plans.append(await settled(client.plan_deletion(delete, SERVER)))
    assert plans[0] == plans[1]
    plan = plans[0]
    assert (plan.resource, plan.id, plan.name, plan.monthly) == ("servers", SERVER, "backup-store", Decimal(2910))
    shown = [(each.kind, each.name, each.monthly) for each in plan.leftovers]
    free = Decimal(0)
    assert shown == [
        ("floating_ip", ADDRESS, Decimal(200)),
        ("network_drive", "studio-drive", Decimal(40)),
        ("image", "golden", free),
    ]
    assert plan.remaining == 240
    assert {request["method"] for request in emulator.requests} == {"GET"}


async def test_what_the_plan_says_ends_is_what_the_bill_loses(emulator: Emulator) -> None:
    tw = emulator.client()
    plan = tw.plan_deletion(tw.servers.delete, SERVER)
    before = sum(row.total_cost for row in tw.account.services.cost.list())
    assert tw.delete_planned(plan, also=()) == ()
    between = sum(row.total_cost for row in tw.account.services.cost.list())
    assert before - between == plan.monthly
    assert tw.delete_planned(plan, also=plan.leftovers) == ()
    assert between - sum(row.total_cost for row in tw.account.services.cost.list()) == plan.remaining


@pytest.mark.parametrize("chosen", [slice(0), slice(1), slice(1, 3), slice(3)])
async def test_what_is_named_is_deleted_and_nothing_else(chosen: slice) -> None:
    for asynchronous in (False, True):
        emulator = furnished()
        before = everything(emulator)
        tw = emulator.client()
        plan = tw.plan_deletion(tw.servers.delete, SERVER)
        client = emulator.async_client() if asynchronous else tw
        assert await settled(client.delete_planned(plan, also=plan.leftovers[chosen])) == ()
        assert before - everything(emulator) == {f"server {SERVER}"} | named(plan.leftovers[chosen])


def test_what_serves_another_by_now_is_kept(emulator: Emulator) -> None:
    tw = emulator.client()
    plan = tw.plan_deletion(tw.servers.delete, SERVER)
    tw.delete_planned(plan, also=())
    address, drive, _ = plan.leftovers
    tw.floating_ips.bind(address.id, resource_type="balancer", resource_id=tw.balancers.list()[0].id)
    emulator.state["network_drives"][0]["service_list"] = [{"resource_id": 123456, "resource_type": "server"}]
    before = everything(emulator)
    assert tw.delete_planned(plan, also=plan.leftovers[:2]) == (address, drive)
    assert everything(emulator) == before


def test_an_address_that_still_serves_the_deleted_thing_is_waited_for(emulator: Emulator) -> None:
    tw = emulator.client(total_timeout=100)
    plan = tw.plan_deletion(tw.servers.delete, SERVER)
    tw.delete_planned(plan, also=())
    drive = emulator.state["network_drives"][0]
    drive["service_list"] = [{"resource_id": SERVER, "resource_type": "server"}]
    waited = FakeClock()
    with clocks.use(waited), pytest.raises(TimewebError, match="studio-drive still serves backup-store"):
        tw.delete_planned(plan, also=plan.leftovers[1:2])
    assert waited.now == 1100
    with clocks.use(FakeClock(drive["service_list"].clear)):
        assert tw.delete_planned(plan, also=plan.leftovers) == ()
    assert not named(plan.leftovers) & everything(emulator)


OPERATIONS = ("deleteServer", "deleteFloatingIP", "deleteNetworkDrive", "getFloatingIp", "deleteImage")
FAILURES: tuple[dict[str, Any], ...] = (
    {"drop": "before"},
    {"drop": "after"},
    {"kind": "edge"},
    {"kind": "truncate"},
    {"status": 500},
)


@st.composite
def fault(draw: st.DrawFn) -> Fault:
    how = draw(st.sampled_from(FAILURES))
    return Fault(draw(st.sampled_from(OPERATIONS)), draw(st.integers(0, 1)), draw(st.integers(1, 12)), **how)


@settings(max_examples=15, deadline=None)
@given(faults=st.lists(fault(), max_size=4))
def test_whatever_the_network_does_the_same_plan_ends_with_all_of_it_and_nothing_else_gone(faults: list[Fault]) -> None:
    emulator = furnished()
    before = everything(emulator)
    tw = emulator.client(max_retries=2)
    plan = tw.plan_deletion(tw.servers.delete, SERVER)
    doomed = {f"server {SERVER}"} | named(plan.leftovers)
    emulator.faults.extend(faults)
    with clocks.use(FakeClock()):
        for _ in range(40):
            try:
                tw.delete_planned(plan, also=plan.leftovers)
            except TimewebError:
                gone = before - everything(emulator)
                assert gone <= doomed
                assert not gone or f"server {SERVER}" in gone
            else:
                break
        else:
            pytest.fail("never done")
    assert before - everything(emulator) == doomed


async def test_a_list_that_is_not_whole_makes_no_plan(emulator: Emulator) -> None:
    emulator.faults.append(Fault(operation="getFloatingIps", body={"meta": {"total": 40}, "ips": []}, status=200))
    for client in clients(emulator):
        delete: Any = client.servers.delete
        with pytest.raises(TimewebError, match="did not come whole"):
            await settled(client.plan_deletion(delete, SERVER))


async def test_what_could_not_be_deleted_makes_no_plan(emulator: Emulator) -> None:
    next(each for each in emulator.state["ips"] if each["ip"] == ADDRESS)["id"] = {"unexpected": "object"}
    for client in clients(emulator):
        delete: Any = client.servers.delete
        with pytest.raises(TimewebError, match="without a readable id"):
            await settled(client.plan_deletion(delete, SERVER))


def test_an_account_that_confirms_is_asked_before_anything_goes() -> None:
    emulator = furnished(confirm_delete=True)
    tw = emulator.client()
    plan = tw.plan_deletion(tw.servers.delete, SERVER)
    before = everything(emulator)
    with pytest.raises(ConfirmationRequired) as asked:
        tw.delete_planned(plan, also=plan.leftovers)
    assert everything(emulator) == before
    tw.delete_planned(plan, also=plan.leftovers, hash=asked.value.hash, code="123456")
    assert before - everything(emulator) == {f"server {SERVER}"} | named(plan.leftovers)


def test_other_things_wear_addresses_too(emulator: Emulator) -> None:
    tw = emulator.client()
    free = next(each for each in tw.floating_ips.list() if each.resource_id is None)
    balancer = tw.balancers.list()[0]
    tw.floating_ips.bind(free.id, resource_type="balancer", resource_id=balancer.id)
    plan = tw.plan_deletion(tw.balancers.delete, balancer.id)
    assert (plan.monthly, [each.id for each in plan.leftovers]) == (Decimal(180), [free.id])
    tw.delete_planned(plan, also=plan.leftovers)
    assert free.id not in {each.id for each in tw.floating_ips.list()}


async def test_what_is_not_planned_is_refused_before_anything_is_sent(emulator: Emulator) -> None:
    stranger = Leftover("image", "5ec13919-ac15-491a-8f65-32b221acfe79", "other", None)
    plan = DeletionPlan("servers", SERVER, "backup-store", None, ())
    for client in clients(emulator):
        unplanned: tuple[Any, ...] = (client.servers.start, client.projects.delete, len)
        for method in unplanned:
            with pytest.raises(ConfigurationError, match="plan_deletion takes"):
                await settled(client.plan_deletion(method, 1))
        with pytest.raises(ConfigurationError, match="other: not in the plan of backup-store"):
            await settled(client.delete_planned(plan, also=[stranger]))
    assert not emulator.requests
