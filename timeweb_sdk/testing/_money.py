"""Account: finances, costs."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._billing import finances, services_costs
from timeweb_sdk.testing._call import Call, handles


@handles("getFinances")
def get_finances(call: Call) -> dict[str, Any]:
    return {"finances": finances(call.account)}


@handles("getServicePrices")
def get_costs(call: Call) -> dict[str, Any]:
    return call.page("services_costs", services_costs(call.account))
