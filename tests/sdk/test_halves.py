"""The second halves of rules that say "this or that"."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from tests.sdk.stub_server import StubServer, answer
from tests.sdk.worlds import SkippingClock, World
from timeweb_sdk import errors
from timeweb_sdk._core.environment import find_proxy
from timeweb_sdk._core.quoting import _price, _price_of_address
from timeweb_sdk._core.secrets import scrub_reply
from timeweb_sdk.models import NestedServiceCost, ServiceCost
from timeweb_sdk.secrets import STARS


def get(server: StubServer) -> Any:
    return World(False, "httpx").run(lambda tw: tw.request("GET", "/x"), base_url=server.url, max_retries=0)


@pytest.mark.parametrize("prices", [{"price": Decimal(5)}, {"price": None, "cost": Decimal(5)}, {"cost": Decimal(5)}])
def test_a_preset_has_a_price_or_a_cost(prices: dict[str, Any]) -> None:
    assert _price(SimpleNamespace(**prices)) == 5


def test_an_address_is_paid_by_itself_or_within_a_server() -> None:
    within = [NestedServiceCost(type="floating_ip", cost=Decimal(180))]
    address = ServiceCost(type="floating_ip", cost=Decimal(180), total_cost=Decimal(180))
    server = ServiceCost(type="server", cost=Decimal(900), total_cost=Decimal(1080), services=within)
    assert _price_of_address([address]) == _price_of_address([server]) == 180
    assert _price_of_address([ServiceCost(type="server", cost=Decimal(900), total_cost=Decimal(900))]) is None


@pytest.mark.parametrize(
    ("body", "kind", "delivery"),
    [
        (b"", "text/html", "answered"),  # so the API refuses a wrong token
        ({"error_code": "unauthorized"}, "application/json", "answered"),
        (b"<html>", "text/html", "unknown"),
    ],
)
def test_a_401_is_the_apis_own_with_a_code_or_without_a_body(
    body: Any, kind: str, delivery: str, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(401, body, kind=kind))
    with pytest.raises(errors.UnauthorizedError) as caught:
        get(server)
    assert caught.value.delivery == delivery


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"come back later", "text/html"), (b"<html><body>", "text/plain"), (b"\n<!DOCTYPE html>", "text/plain")],
)
def test_a_page_is_told_by_its_kind_or_by_how_it_begins(
    body: bytes, kind: str, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(200, body, kind=kind))
    with pytest.raises(errors.EdgeError):
        get(server)


@pytest.mark.parametrize("exempt", ["::1", "[::1]", "[::1]:8443"])
def test_an_address_of_ipv6_is_exempt_with_brackets_or_without(exempt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert find_proxy("https://[::1]:8443") is None
    assert find_proxy("https://[::2]:8443") == "http://127.0.0.1:3128"


def test_a_secret_goes_as_it_is_and_as_json_spells_it() -> None:
    secret = 'a"b\\12'
    for spelled in (secret, 'a\\"b\\\\12'):
        assert scrub_reply(f"refused {spelled} there", SecretStr("token-of-the-account"), [secret]) == f"refused {STARS} there"
