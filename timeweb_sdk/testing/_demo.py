"""What the demonstration has beside its servers: one of everything, ordered from an emulator as anybody would."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from typing import Any

from timeweb_sdk.testing._account import Item, State
from timeweb_sdk.testing._clock import FakeClock
from timeweb_sdk.testing._http import Request

_ORDERED = datetime(2025, 3, 3, 9, tzinfo=UTC)
_COMMIT = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_OWNER = {
    "type": "org", "name": "Studio", "is_resident": True, "contact_name": "A. Example", "inn": "0000000000",
    "legal_address": "1 Example Street", "postcode": "000000", "mailing_address": "1 Example Street",
    "phone": "+70000000000", "email": "owner@example.com",
}  # fmt: skip
_BALANCER: Item = {
    "name": "studio-balancer", "preset_id": 391, "algo": "roundrobin", "proto": "http", "port": 80, "path": "/", "fall": 3,
    "rise": 2, "inter": 10, "timeout": 5, "is_keepalive": True, "is_ssl": False, "is_sticky": False, "is_use_proxy": False,
}  # fmt: skip
_APP: Item = {
    "name": "studio-app", "type": "backend", "framework": "django", "preset_id": 1401, "branch_name": "main", "build_cmd": "",
    "run_cmd": "gunicorn app", "is_auto_deploy": True, "commit_sha": _COMMIT, "comment": "",
}  # fmt: skip
_AGENT_SETTINGS: Item = {"model": {"temperature": 1}, "system_prompt": "Answer briefly.", "refine_query": False}


@cache
def _ordered(projects: str) -> State:
    return _Orders(json.loads(projects)).place()


def services(servers: list[Item], projects: list[Item]) -> State:
    """Keys of a state: one of everything that can be ordered, beside the servers of an account."""
    state = deepcopy(_ordered(json.dumps(projects)))
    if servers:
        # What names a server names one that is there.
        number = str(servers[0]["id"])
        for place, kept in state["children"].items():
            if place.startswith("groups/") and place.endswith("/resources"):
                kept[0]["id"] = number
        for image in state["images"]:
            image["disk_id"] = servers[0]["disks"][0]["id"]
    return state


class _Orders:
    """An account without servers in which the orders are placed; what they left is the result."""

    def __init__(self, projects: list[Item]) -> None:
        from timeweb_sdk.testing.emulator import Emulator

        # Another seed than the emulator's own, or an account that starts with this would make the same ids up again.
        self._emulator = Emulator(
            {"servers": [{"id": 1}], "projects": projects}, clock=FakeClock(_ORDERED), rate_limit=False, seed=2025, token=None
        )

    def place(self) -> State:
        before = set(self._emulator.state)
        self._network_and_machines()
        self._names_and_files()
        self._applications()
        self._emulator.advance(3600)
        kept = {key: value for key, value in self._emulator.state.items() if key not in before and value}
        for key in ("children", "domains", "dns_records"):
            kept[key] = self._emulator.state[key]
        found: State = json.loads(json.dumps(kept))
        return found

    def _order(self, path: str, body: Any = None, method: str = "POST") -> Any:
        text = b"" if body is None else json.dumps(body).encode()
        reply = self._emulator.handle(Request(method, f"/api/{path}", {}, {}, text))
        if reply.status >= 300:
            raise AssertionError(f"{method} {path}: {reply.body.decode()}")
        answered: Item = reply.json() if reply.body else {}
        return next((value for key, value in answered.items() if key not in ("meta", "response_id")), None)

    def _network_and_machines(self) -> None:
        network = self._order("v2/vpcs", {"name": "studio-net", "subnet_v4": "192.168.0.0/24", "location": "ru-1"})
        second = self._order("v2/vpcs", {"name": "clients-net", "subnet_v4": "192.168.1.0/24", "location": "ru-1"})
        networks = [{"id": network["id"]}, {"id": second["id"], "gateway": "192.168.1.1"}]
        router = self._order("v1/routers", {"name": "studio-router", "preset_id": 1961, "networks": networks})
        port = {
            "protocol": "tcp",
            "local": {"ip": "192.168.0.4", "port": "80"},
            "public": {"ip": "203.0.113.10", "port": "8080"},
        }
        self._order(f"v1/routers/{router['id']}/dnat-rules", port)
        self._order(f"v1/routers/{router['id']}/static-routes", {"subnet": "192.168.2.0/24", "nexthop": "192.168.1.4"})
        admin = {"login": "shop", "password": "Example-1", "privileges": ["SELECT", "INSERT", "UPDATE", "DELETE"]}
        database = self._order("v1/databases", {"name": "shop-db", "type": "postgres16", "preset_id": 1})
        self._order(f"v1/databases/{database['id']}/admins", admin)
        self._order(f"v1/databases/{database['id']}/instances", {"name": "shop", "description": ""})
        self._order(f"v1/dbs/{database['id']}/backups", {"comment": "before the move"})
        self._order(f"v2/databases/{database['id']}/backups", {"comment": "weekly"})
        balancer = self._order("v1/balancers", _BALANCER)
        rule = {"balancer_proto": "http", "balancer_port": 80, "server_proto": "http", "server_port": 8080}
        self._order(f"v1/balancers/{balancer['id']}/rules", rule)
        self._order(f"v1/balancers/{balancer['id']}/ips", {"ips": ["192.168.0.4"]})
        group = {"name": "web", "preset_id": 405, "node_count": 2}
        cluster = {"name": "studio-cluster", "k8s_version": "v1.32.2+k0s.0", "network_driver": "calico", "preset_id": 403}
        cluster = self._order("v1/k8s/clusters", {**cluster, "worker_groups": [group]})
        addon = {"type": "ingress-nginx", "config_type": "basic", "yaml_config": "{}", "version": "1.0.0"}
        self._order(f"v1/k8s/clusters/{cluster['id']}/addons", addon)
        machine = {"name": "studio-metal", "preset_id": 39, "payment_period": "P1M", "comment": ""}
        self._order("v1/dedicated-servers", machine)
        firewall = self._order("v1/firewall/groups", {"name": "web", "description": ""})
        rule = {"direction": "ingress", "protocol": "tcp", "port": "443", "cidr": "0.0.0.0/0"}
        self._order(f"v1/firewall/groups/{firewall['id']}/rules", rule)
        self._order(f"v1/firewall/groups/{firewall['id']}/resources/1")

    def _names_and_files(self) -> None:
        self._order("v1/add-domain/example.com")
        self._order("v1/domains/example.com/subdomains/shop.example.com")
        for name, record in (
            ("example.com", {"type": "A", "value": "203.0.113.1"}),
            ("example.com", {"type": "MX", "value": "mail.example.com", "priority": 10}),
            ("example.com", {"type": "TXT", "value": "v=spf1 ip4:203.0.113.0/24 -all"}),
            ("shop.example.com", {"type": "A", "value": "203.0.113.2"}),
        ):
            self._order(f"v2/domains/{name}/dns-records", record)
        self._order("v1/mail/domains/example.com", {"mailbox": "info", "password": "Example-1", "comment": ""})
        self._order("v1/persons", _OWNER)
        self._order("v1/domains-requests", {"action": "register", "fqdn": "example.org", "person_id": 1})
        bucket = self._order("v1/storages/buckets", {"name": "studio-media", "type": "public", "preset_id": 389})
        self._order(f"v1/storages/buckets/{bucket['id']}/subdomains", {"subdomains": ["media.example.com"]})
        self._order("v2/storages/users", {"name": "uploader"})
        self._order("v1/network-drives", {"name": "studio-drive", "size": 10, "preset_id": 3})
        image = self._order("v1/images", {"name": "golden", "os": "ubuntu", "location": "ru-1"})
        self._order(f"v1/images/{image['id']}/download-url", {"type": "timeweb"})
        self._order("v1/container-registry", {"name": "studio-registry", "preset_id": 1595})
        self._order("v1/cdn/http-resources", {"name": "studio-cdn", "preset_id": 1})
        self._order("v1/cdn/certificates", {"certificate": "example certificate", "private_key": "example key"})

    def _applications(self) -> None:
        token = {"provider_type": "github", "provider_token": "example-token"}
        provider = self._order("v1/vcs-provider", token)
        (repository,) = self._order(f"v1/vcs-provider/{provider['provider_id']}", method="GET")
        app = {**_APP, "provider_id": provider["provider_id"], "repository_id": repository["id"]}
        app = self._order("v1/apps", app)
        self._order(f"v1/apps/{app['id']}/deploy", {"commit_sha": _COMMIT})
        agent = {"name": "helper", "access_type": "private", "model_id": 1, "token_package_id": 1, "settings": _AGENT_SETTINGS}
        self._order("v1/cloud-ai/agents", agent)
        base = {"name": "handbook", "dbaas_preset_id": 1, "network_id": "network-1", "token_package_id": 1}
        self._order("v1/cloud-ai/knowledge-bases", base)
