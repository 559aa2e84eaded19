"""The account itself: its status, finances and costs."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Item
from timeweb_sdk.testing._billing import finances, services_costs
from timeweb_sdk.testing._call import Call, handlers

handles = handlers()


@handles("getFinances")
def get_finances(call: Call) -> dict[str, Any]:
    return {"finances": finances(call.account)}


@handles("getServicePrices")
def get_costs(call: Call) -> dict[str, Any]:
    return call.page("services_costs", services_costs(call.account))


@handles("getAccountStatus")
def get_status(call: Call) -> dict[str, Any]:
    computed: Item = {
        "is_blocked": False,
        "is_permanent_blocked": False,
        "is_send_bill_letters": True,
        "company_info": {"id": 1, "name": "Timeweb Cloud"},
        "last_password_changed_at": "2026-01-01T00:00:00.000Z",
        "ym_client_id": None,
        "login": call.account.home_project().get("account_id"),
        "registered_at": "2024-01-01T00:00:00.000Z",
        "is_password_set": True,
        "two_factor_method": None,
    }
    return {"status": {**computed, **call.account.state.get("status", {})}}
