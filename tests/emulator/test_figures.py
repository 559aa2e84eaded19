"""Figures that follow from the state are shown with it, and go on following from it when the document comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from timeweb_sdk.testing import Emulator, FakeClock
from timeweb_sdk.testing._http import Request
from timeweb_sdk.testing.scenarios import demo_state


def control(emulator: Emulator, method: str, name: str, body: Any = None) -> Any:
    text = b"" if body is None else json.dumps(body).encode()
    return json.loads(emulator.handle(Request(method, f"/_emulator/{name}", body=text)).body)


def test_the_state_shows_finances_and_costs() -> None:
    state = control(Emulator(demo_state()), "GET", "state")
    assert len([row for row in state["services_costs"] if row["type"] == "server"]) == 23
    assert state["finances"]["monthly_cost"] == sum(row["total_cost"] for row in state["services_costs"])
    assert Emulator().state["finances"]["balance"] == 10_000


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_figures_follow_from_a_state_that_came_back(method: str) -> None:
    emulator = Emulator(demo_state())
    state = control(emulator, "GET", "state")
    state["servers"].pop()
    changed = control(emulator, method, "state", state)
    assert len([row for row in changed["services_costs"] if row["type"] == "server"]) == 22
    assert changed["finances"]["monthly_cost"] < state["finances"]["monthly_cost"]


def test_an_edited_figure_stays_as_it_was_edited() -> None:
    emulator = Emulator(demo_state())
    state = control(emulator, "GET", "state")
    state["services_costs"][0]["total_cost"] = 4321
    state["finances"]["monthly_fee"] = 99
    control(emulator, "PUT", "state", state)
    again = control(emulator, "GET", "state")
    assert again["services_costs"][0]["total_cost"] == 4321
    assert again["finances"]["monthly_fee"] == 99


def test_no_projects_is_an_answer_too() -> None:
    assert Emulator({"projects": []}).state["projects"] == []
    assert len(Emulator({}).state["projects"]) == 1


def test_a_server_of_unknown_place_is_cloned_with_an_address() -> None:
    emulator = Emulator({"servers": [{"id": 1, "name": "a", "status": "on"}]}, clock=FakeClock())
    with emulator.client() as tw:
        clone = tw.servers.clone(1)
        emulator.advance(3600)
        assert tw.servers.get(clone.id).status == "on"


@pytest.mark.parametrize(
    "fault",
    [{"delay_ms": "x"}, {"headers": [1]}, {"status": 9999}, {"jitter_ms": -1}, {"probability": True}],
    ids=["delay", "headers", "status", "jitter", "probability"],
)
def test_a_fault_that_cannot_be_carried_out_is_refused(fault: dict[str, Any]) -> None:
    emulator = Emulator()
    answer = emulator.handle(Request("POST", "/_emulator/faults", body=json.dumps({"operation": "*", **fault}).encode()))
    assert answer.status == 400
    assert next(iter(fault)) in json.loads(answer.body)["error"]
    assert emulator.faults == []


def test_what_costs_money_has_a_row() -> None:
    emulator = Emulator({"servers": [{"id": 1, "name": "a", "disks": [{"id": 2, "size": 20480}]}]}, clock=FakeClock())
    with emulator.client() as tw:
        cluster = tw.k8s.clusters.create(
            name="c",
            k8s_version="v1.32.2+k0s.0",
            network_driver="calico",
            preset_id=403,
            worker_groups=[{"name": "web", "preset_id": 405, "node_count": 2}],
        )
        tw.images.create(disk_id=2, name="golden")
        rows = {row["type"]: row["cost"] for row in control(emulator, "GET", "state")["services_costs"]}
        assert rows["k8s"] == 690 + 2 * 640, "the master and its workers"
        assert rows["image"] == 20 * 4, "RUB per GB and month"
        tw.k8s.clusters.delete(cluster.id)
    assert "k8s" not in {row["type"] for row in control(emulator, "GET", "state")["services_costs"]}


@pytest.mark.parametrize(("kind", "service"), [("backend", "app_backend"), ("frontend", "app_frontend")])
def test_an_app_is_billed_as_what_it_is(kind: str, service: str) -> None:
    emulator = Emulator({"apps": [{"id": 1, "name": "site", "type": kind, "preset_id": 1301}]})
    rows = control(emulator, "GET", "state")["services_costs"]
    assert [row["type"] for row in rows] == [service]
