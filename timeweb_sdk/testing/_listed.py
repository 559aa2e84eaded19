"""Lists of plain values that are added to and taken from by the values themselves."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Account, Item
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._contract import contract
from timeweb_sdk.testing._http import bad_request
from timeweb_sdk.testing._store import items_at, keep_at, owned

handles = handlers("balancer_id", "bucket_id")

# Servers behind a balancer


def _behind(call: Call) -> list[Any]:
    balancer = call.account.find("balancers", call.path["balancer_id"], "Balancer")
    kept: list[Any] = balancer.setdefault("ips", [])
    return kept


@handles("getBalancerIPs")
def balancer_ips(call: Call) -> dict[str, Any]:
    return call.page("ips", _behind(call))


@handles("addIPsToBalancer")
def add_balancer_ips(call: Call) -> None:
    kept = _behind(call)
    kept += [ip for ip in dict.fromkeys(call.body["ips"]) if ip not in kept]


@handles("deleteIPsFromBalancer")
def delete_balancer_ips(call: Call) -> None:
    kept = _behind(call)
    kept[:] = [ip for ip in kept if ip not in call.body["ips"]]


# Who may use the account


def _access(account: Account) -> Item:
    kept: dict[str, Any] = account.state["children"].setdefault("auth/access", {})
    kept.setdefault("is_ip_restrictions_enabled", False)
    kept.setdefault("is_country_restrictions_enabled", False)
    kept.setdefault("white_list", {"ips": [], "countries": []})
    return kept


@handles("getAuthAccessSettings")
def access(call: Call) -> dict[str, Any]:
    return _access(call.account)


@handles("updateAuthRestrictionsByIP", "updateAuthRestrictionsByCountries")
def restrict(call: Call) -> None:
    kind = "ip" if call.endpoint.path.endswith("/ips/enabled") else "country"
    _access(call.account)[f"is_{kind}_restrictions_enabled"] = call.body["is_enabled"]


@handles("addIPsToAllowedList", "addCountriesToAllowedList", "deleteIPsFromAllowedList", "deleteCountriesFromAllowedList")
def allow(call: Call) -> dict[str, Any]:
    """Each value with what became of it."""
    kind = call.endpoint.path.rsplit("/", 1)[1]
    allowed: list[str] = _access(call.account)["white_list"][kind]
    if not call.body[kind]:
        raise bad_request([f"{kind} should not be empty"])
    adds, wanted = call.endpoint.method == "POST", list(dict.fromkeys(call.body[kind]))
    failure = "conflict" if adds else "not_found"
    outcome = [{"value": value, "status": failure if (value in allowed) is adds else "success"} for value in wanted]
    left = [value for value in allowed if value not in wanted]
    allowed[:] = [*left, *wanted] if adds else left
    listed = contract().properties(call.endpoint.response or {}).get(kind, {})
    # The contract has one object here, though several values may be sent.
    return {kind: outcome if "items" in contract().resolve(listed) else outcome[0]}


# Names of a bucket


def _names(call: Call) -> list[Item]:
    return keep_at(call.account, owned(call, "buckets/{}/subdomains"))


@handles("getStorageSubdomains")
def bucket_names(call: Call) -> dict[str, Any]:
    return call.page("subdomains", items_at(call.account, owned(call, "buckets/{}/subdomains")) or [])


@handles("addStorageSubdomains")
def add_bucket_names(call: Call) -> dict[str, Any]:
    kept = _names(call)
    outcome: list[Item] = []
    for name in call.body["subdomains"]:
        known = any(entry["subdomain"] == name for entry in kept)
        outcome.append({"subdomain": name, "status": "duplicate" if known else "success"})
        if not known:
            number = call.account.new_id("buckets/{}/subdomains")
            certificate: Item = {"cert_released": call.account.now(), "tries": 0, "status": "ssl_not_requested"}
            kept.append({"id": number, "subdomain": name, **certificate})
    return call.page("subdomains", outcome)


@handles("deleteStorageSubdomains")
def delete_bucket_names(call: Call) -> dict[str, Any]:
    kept, wanted = _names(call), call.body["subdomains"]
    known = [entry["subdomain"] for entry in kept]
    kept[:] = [entry for entry in kept if entry["subdomain"] not in wanted]
    outcome = [{"subdomain": name, "status": "success" if name in known else "failed"} for name in wanted]
    return call.page("subdomains", outcome)


@handles("addStorageSubdomainCertificate")
def issue_certificate(call: Call) -> None:
    body: Item = call.body
    wanted = body.get("subdomain")
    for place, kept in call.account.state["children"].items():
        if place.startswith("buckets/") and place.endswith("/subdomains"):
            for entry in kept:
                if entry["subdomain"] == wanted:
                    entry["status"] = "ssl_released"
