"""The applications of docs/examples/frameworks answer over WSGI, also while Timeweb does not."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import httpx
import pytest

from tests.docs.examples import ROOT
from timeweb_sdk import Timeweb
from timeweb_sdk.testing import Emulator, demo_state


@pytest.fixture(params=["flask_app", "django_app"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "docs/examples/frameworks")
    # Not again for the next test: Django takes its settings once in a process.
    found = importlib.import_module(request.param)
    yield found
    found.timeweb.cache_clear()


def test_servers_or_a_bad_gateway(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(demo_state())
    made = emulator.client(max_retries=0)

    def make(**_: object) -> Timeweb:
        return made

    monkeypatch.setattr(module, "Timeweb", make)
    with closing(made), httpx.Client(transport=httpx.WSGITransport(module.app), base_url="http://localhost") as browser:
        listed = browser.get("/servers")
        assert listed.status_code == 200
        assert [each["name"] for each in listed.json()["servers"]] == [each["name"] for each in emulator.state["servers"]]
        emulator.add_fault(status=500)
        failed = browser.get("/servers")
        assert (failed.status_code, failed.json()) == (502, {"error": "ServerError"})
