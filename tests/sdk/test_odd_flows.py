"""What asks the API several times (orders, quotes, plans) gets odd data: it works on, or says so as an error of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from timeweb_sdk import RateLimit, Timeweb, TimewebError
from timeweb_sdk.testing import Emulator, FakeClock, demo_state, use_clock

STATE = demo_state()
SERVER = STATE["servers"][0]["id"]
NETWORK: Any = {"floating_ip": "create_ip"}
ODD: tuple[Any, ...] = (1, [1], {"id": [], "type": [], "resource_type": [], "services": 1, "service_list": 1})


def delete(tw: Timeweb) -> None:
    plan = tw.plan_deletion(tw.servers.delete, SERVER)
    assert plan.remaining >= 0
    tw.delete_planned(plan, also=plan.leftovers)


FLOWS: dict[str, Callable[[Timeweb], object]] = {
    "quote": lambda tw: tw.quote(tw.servers.create, name="new", preset_id=2453, os_id=99, network=NETWORK).monthly,
    "order": lambda tw: tw.create_once(tw.servers.create, name="new", preset_id=2453, os_id=99),
    "order without a name": lambda tw: tw.create_once(tw.floating_ips.create, is_ddos_guard=False, availability_zone="spb-3"),
    "deletion": delete,
}


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("name", FLOWS)
def test_an_odd_item_raises_errors_of_ours_alone(name: str, odd: Any) -> None:
    inner = Emulator(copy.deepcopy(STATE), token="t").transport()

    def answer(request: httpx.Request) -> httpx.Response:
        reply = inner.handle_request(request)
        body: dict[str, Any] = json.loads(reply.read() or b"{}")
        for key in [key for key in body if isinstance(body[key], list)]:
            body |= {key: [odd, *body[key][:1]], "meta": {"total": 2}}
        return httpx.Response(reply.status_code, json=body)

    with use_clock(FakeClock()), httpx.Client(transport=httpx.MockTransport(answer)) as http, suppress(TimewebError):
        FLOWS[name](Timeweb("t", http_client=http, rate_limit=RateLimit.off(), max_retries=0, total_timeout=5))
