"""Calls written by hand against a real socket: the line, the body and the result are spelt out, nothing is computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from tests.wire.conftest import RecordingServer
from timeweb_sdk import ConfirmationRequired, RateLimit, Timeweb
from timeweb_sdk.models import DatabaseAdminInput, NodeTaint, ServerConfigurationInput

MOSCOW = timezone(timedelta(hours=3))


@dataclass
class ByHand:
    """A call, what must arrive, the answer, and what the caller must get."""

    call: Callable[[Timeweb], Any]
    line: str
    body: Any = None
    status: int = 204
    answer: Any = b""
    got: dict[str, Any] = field(default_factory=dict)
    """Attribute path of the result -> value."""


SERVER = {"id": 1051, "name": "web-1", "status": "installing", "networks": [], "root_pass": None, "preset_id": 2453}
RECORD = {"dns_record": {"id": 7, "type": "MX", "data": {"value": "mx.example.com", "priority": 10}}}
KEY = {"id": 5, "name": "laptop", "body": "ssh-ed25519 AAAA", "created_at": "2026-01-01T00:00:00Z", "used_by": []}
DATABASE = {"id": 9, "name": "orders", "type": "postgres17", "status": "starting"}

CASES = {
    # -- servers --------------------------------------------------------------------------------------------------------
    "one server": ByHand(
        lambda tw: tw.servers.get(1051),
        "GET /api/v1/servers/1051",
        status=200,
        answer={"server": SERVER, "response_id": "r-1"},
        got={"id": 1051, "name": "web-1", "root_pass": None, "networks": []},
    ),
    "servers come in pages of a hundred": ByHand(
        lambda tw: tw.servers.list(),
        "GET /api/v1/servers?limit=100",
        status=200,
        answer={"servers": [SERVER], "meta": {"total": 1}, "response_id": "r-2"},
        got={"total": 1, "response_id": "r-2", "items.0.id": 1051},
    ),
    "the caller's limit is the size of a page": ByHand(
        lambda tw: tw.servers.list(limit=50, offset=150),
        "GET /api/v1/servers?limit=50&offset=150",
        status=200,
        answer={"servers": [], "meta": {"total": 150}},
        got={"items": [], "total": 150},
    ),
    "a server from a preset": ByHand(
        lambda tw: tw.servers.create(name="web-1", preset_id=2453, os_id=99, ssh_keys_ids=[5, 6], is_ddos_guard=False),
        "POST /api/v1/servers",
        {"name": "web-1", "preset_id": 2453, "os_id": 99, "ssh_keys_ids": [5, 6], "is_ddos_guard": False},
        status=201,
        answer={"server": SERVER},
        got={"status": "installing", "preset_id": 2453},
    ),
    "a server of free configuration, from typed dicts": ByHand(
        lambda tw: tw.servers.create(
            name="db",
            image_id="00000000-0000-4000-8000-000000000001",
            configuration={"configurator_id": 11, "cpu": 2, "ram": 2048, "disk": 15360, "gpu": 0},
            network={"floating_ip": "create_ip"},
            cloud_init="#cloud-config\nhostname: база\n",
        ),
        "POST /api/v1/servers",
        {
            "name": "db",
            "image_id": "00000000-0000-4000-8000-000000000001",
            "configuration": {"configurator_id": 11, "cpu": 2, "ram": 2048, "disk": 15360, "gpu": 0},
            "network": {"floating_ip": "create_ip"},
            "cloud_init": "#cloud-config\nhostname: база\n",
        },
        status=201,
        answer={"server": SERVER},
    ),
    "the same from a model": ByHand(
        lambda tw: tw.servers.create(
            name="db", os_id=99, configuration=ServerConfigurationInput(configurator_id=11, cpu=2, ram=2048, disk=15360, gpu=0)
        ),
        "POST /api/v1/servers",
        {"name": "db", "os_id": 99, "configuration": {"configurator_id": 11, "cpu": 2, "ram": 2048, "disk": 15360, "gpu": 0}},
        status=201,
        answer={"server": SERVER},
    ),
    "only what is given is changed": ByHand(
        lambda tw: tw.servers.update(1051, comment=""),
        "PATCH /api/v1/servers/1051",
        {"comment": ""},
        status=200,
        answer={"server": SERVER},
    ),
    "an action has no body": ByHand(lambda tw: tw.servers.reboot(1051), "POST /api/v1/servers/1051/reboot"),
    "a deletion that is done at once": ByHand(lambda tw: tw.servers.delete(1051), "DELETE /api/v1/servers/1051"),
    "a deletion that is confirmed": ByHand(
        lambda tw: tw.servers.delete(1051, hash="15095f25", code="0042"), "DELETE /api/v1/servers/1051?hash=15095f25&code=0042"
    ),
    "a bigger disk": ByHand(
        lambda tw: tw.servers.disks.create(1051, size=10240),
        "POST /api/v1/servers/1051/disks",
        {"size": 10240},
        status=201,
        answer={"server_disk": {"id": 3, "size": 10240, "used": 0.5}},
        got={"size": 10240, "used": 0.5},
    ),
    "a backup without a comment still has a body": ByHand(
        lambda tw: tw.servers.disks.backups.create(1051, 3),
        "POST /api/v1/servers/1051/disks/3/backups",
        {},
        status=201,
        answer={"backup": {"id": 8, "status": "create", "progress": 0}},
        got={"id": 8},
    ),
    "backups of a disk": ByHand(
        lambda tw: tw.servers.disks.backups.list(1051, 3),
        "GET /api/v1/servers/1051/disks/3/backups",
        status=200,
        answer={"backups": [{"id": 8, "created_at": "2026-01-02T03:04:05Z"}], "meta": {"total": 1}},
        got={"items.0.created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)},
    ),
    "a moment is sent in UTC": ByHand(
        lambda tw: tw.servers.disks.auto_backups.update(
            1051, 3, is_enabled=True, creation_start_at=datetime(2026, 1, 2, 3, tzinfo=MOSCOW), interval="day"
        ),
        "PATCH /api/v1/servers/1051/disks/3/auto-backups",
        {"is_enabled": True, "creation_start_at": "2026-01-02T00:00:00Z", "interval": "day"},
        status=200,
        answer={"auto_backups_settings": {"is_enabled": True, "copy_count": 2}},
        got={"copy_count": 2},
    ),
    "a deletion with a body": ByHand(
        lambda tw: tw.servers.ips.delete(1051, ip="203.0.113.7"),
        "DELETE /api/v1/servers/1051/ips",
        {"ip": "203.0.113.7"},
    ),
    "keys are attached under another name than on creation": ByHand(
        lambda tw: tw.servers.ssh_keys.create(1051, ssh_key_ids=[5]), "POST /api/v1/servers/1051/ssh-keys", {"ssh_key_ids": [5]}
    ),
    "four values in a path": ByHand(
        lambda tw: tw.servers.statistics.list(1051, "2026-01-01T00:00:00Z", "24", "system.cpu.util"),
        "GET /api/v1/servers/1051/statistics/2026-01-01T00:00:00Z/24/system.cpu.util",
        status=200,
        answer={
            "statistics": [{"name": "cpu", "list": [{"value": 1.5, "time": "2026-01-01T00:00:00Z"}], "meta": {"amount": 1}}]
        },
        got={"items.0.list_.0.value": 1.5},
    ),
    # -- account and projects -------------------------------------------------------------------------------------------
    "money is exact": ByHand(
        lambda tw: tw.account.finances.get(),
        "GET /api/v1/account/finances",
        status=200,
        answer=b'{"finances": {"balance": 8.24, "total_balance": 8.24454143, "monthly_fee": 300}, "response_id": null}',
        got={"balance": Decimal("8.24"), "total_balance": Decimal("8.24454143"), "monthly_fee": Decimal(300)},
    ),
    "costs name services by number or by text": ByHand(
        lambda tw: tw.account.services.cost.list(),
        "GET /api/v1/account/services/cost",
        status=200,
        answer={"services_costs": [{"type": "server", "service_id": 1051}, {"type": "router", "service_id": "a-b"}]},
        got={"items.0.service_id": 1051, "items.1.service_id": "a-b"},
    ),
    "the account says who it is": ByHand(
        lambda tw: tw.account.status.get(),
        "GET /api/v1/account/status",
        status=200,
        answer={"status": {"login": "ab12345", "is_blocked": False, "two_factor_method": None}},
        got={"login": "ab12345", "is_blocked": False, "two_factor_method": None},
    ),
    "null is not absent": ByHand(
        lambda tw: tw.projects.update(12, description=None),
        "PUT /api/v1/projects/12",
        {"description": None},
        status=200,
        answer={"project": {"id": 12, "name": "shop"}},
        got={"id": 12},
    ),
    "a resource changes its project": ByHand(
        lambda tw: tw.projects.resources.transfer(12, to_project=13, resource_id=1051, resource_type="server"),
        "PUT /api/v1/projects/12/resources/transfer",
        {"to_project": 13, "resource_id": 1051, "resource_type": "server"},
        status=200,
        answer={"resource": {"id": 1, "resource_id": 1051, "type": "server"}},
        got={"resource_id": 1051},
    ),
    # -- networks -------------------------------------------------------------------------------------------------------
    "an address for a server": ByHand(
        lambda tw: tw.floating_ips.bind("fip-1", resource_type="server", resource_id=1051),
        "POST /api/v1/floating-ips/fip-1/bind",
        {"resource_type": "server", "resource_id": 1051},
    ),
    "an address for a router": ByHand(
        lambda tw: tw.floating_ips.bind("fip-1", resource_type="router", resource_id="r-7"),
        "POST /api/v1/floating-ips/fip-1/bind",
        {"resource_type": "router", "resource_id": "r-7"},
    ),
    "a network is made in version 2": ByHand(
        lambda tw: tw.vpcs.create(name="inner", subnet_v4="192.0.2.0/24", location="ru-1"),
        "POST /api/v2/vpcs",
        {"name": "inner", "subnet_v4": "192.0.2.0/24", "location": "ru-1"},
        status=201,
        answer={"vpc": {"id": "network-1", "name": "inner", "description": None, "public_ip": None}},
        got={"id": "network-1", "description": None},
    ),
    "and deleted in version 1": ByHand(lambda tw: tw.vpcs.delete("network-1"), "DELETE /api/v1/vpcs/network-1"),
    "the policy of a firewall is in the query": ByHand(
        lambda tw: tw.firewall.groups.create(name="web", policy="DROP"),
        "POST /api/v1/firewall/groups?policy=DROP",
        {"name": "web"},
        status=201,
        answer={"group": {"id": "g-1", "name": "web"}},
        got={"id": "g-1"},
    ),
    "a firewall for a balancer": ByHand(
        lambda tw: tw.firewall.groups.resources.create("g-1", "7", resource_type="balancer"),
        "POST /api/v1/firewall/groups/g-1/resources/7?resource_type=balancer",
        status=201,
        answer={"resource": {"id": "7", "type": "balancer"}},
        got={"id": "7", "type": "balancer"},
    ),
    "a network drive": ByHand(
        lambda tw: tw.network_drives.get("d-1"),
        "GET /api/v1/network-drives/d-1",
        status=200,
        answer={"network_drive": {"id": "d-1", "size": 10}},
        got={"size": 10},
    ),
    # -- names and keys -------------------------------------------------------------------------------------------------
    "an MX record": ByHand(
        lambda tw: tw.domains.dns_records.create("example.com", type="MX", value="mx.example.com", priority=10),
        "POST /api/v2/domains/example.com/dns-records",
        {"type": "MX", "value": "mx.example.com", "priority": 10},
        status=201,
        answer=RECORD,
        got={"id": 7, "data.priority": 10},
    ),
    "an SRV record": ByHand(
        lambda tw: tw.domains.dns_records.create(
            "example.com", type="SRV", service="sip", protocol="tcp", priority=1, port=5060, host="sip.example.com", ttl=600
        ),
        "POST /api/v2/domains/example.com/dns-records",
        {
            "type": "SRV",
            "service": "sip",
            "protocol": "tcp",
            "priority": 1,
            "port": 5060,
            "host": "sip.example.com",
            "ttl": 600,
        },
        status=201,
        answer=RECORD,
    ),
    "a Cyrillic domain in the path": ByHand(
        lambda tw: tw.domains.get("пример.рф"),
        "GET /api/v1/domains/%D0%BF%D1%80%D0%B8%D0%BC%D0%B5%D1%80.%D1%80%D1%84",
        status=200,
        answer={"domain": {"id": 3, "fqdn": "пример.рф"}},
        got={"fqdn": "пример.рф"},
    ),
    "a query with characters that mean something": ByHand(
        lambda tw: tw.domains.list(idn_name="a&b=cd", limit=10),
        "GET /api/v1/domains?limit=10&idn_name=a%26b%3Dcd",
        status=200,
        answer={"domains": [], "meta": {"total": 0}},
        got={"total": 0},
    ),
    "keys come under a key with an underscore": ByHand(
        lambda tw: tw.ssh_keys.list(),
        "GET /api/v1/ssh-keys",
        status=200,
        answer={"ssh_keys": [KEY], "meta": {"total": 1}},
        got={"items.0.name": "laptop"},
    ),
    "a key whose text is called body": ByHand(
        lambda tw: tw.ssh_keys.create(name="laptop", body="ssh-ed25519 AAAA", is_default=False),
        "POST /api/v1/ssh-keys",
        {"name": "laptop", "body": "ssh-ed25519 AAAA", "is_default": False},
        status=201,
        answer={"ssh_key": KEY},
        got={"id": 5, "body": "ssh-ed25519 AAAA"},
    ),
    # -- Kubernetes, databases, storage ---------------------------------------------------------------------------------
    "fewer nodes": ByHand(
        lambda tw: tw.k8s.clusters.groups.nodes.delete(777, 4, count=2),
        "DELETE /api/v1/k8s/clusters/777/groups/4/nodes",
        {"count": 2},
    ),
    "a node group is changed by models": ByHand(
        lambda tw: tw.k8s.clusters.groups.update(
            777, 4, labels=[], taints=[NodeTaint(key="gpu", value="", effect="NoSchedule")]
        ),
        "PATCH /api/v1/k8s/clusters/777/groups/4",
        {"labels": [], "taints": [{"key": "gpu", "value": "", "effect": "NoSchedule"}]},
        status=200,
        answer={"node_group": {"id": 4, "name": "workers", "node_count": 2}},
        got={"node_count": 2},
    ),
    "configurators of Kubernetes": ByHand(
        lambda tw: tw.configurator.k8s.list(),
        "GET /api/v1/configurator/k8s",
        status=200,
        answer={"k8s_configurators": [{"id": 59, "location": "ru-3", "tags": ["k8s_configurator_general"]}]},
        got={"items.0.tags": ["k8s_configurator_general"]},
    ),
    "a database with its administrator": ByHand(
        lambda tw: tw.databases.create(
            name="orders", type="postgres17", preset_id=3, admin=DatabaseAdminInput(login="root", password=SecretStr("p@ss"))
        ),
        "POST /api/v1/databases",
        {"name": "orders", "type": "postgres17", "preset_id": 3, "admin": {"login": "root", "password": "p@ss"}},
        status=201,
        answer={"db": DATABASE},
        got={"id": 9},
    ),
    "a repository with a password": ByHand(
        lambda tw: tw.vcs_providers.create(
            provider_type="git", url="https://git.example.com/a.git", login="ci", password=SecretStr("p@ss")
        ),
        "POST /api/v1/vcs-provider",
        {"provider_type": "git", "url": "https://git.example.com/a.git", "login": "ci", "password": "p@ss"},
        status=201,
        answer={"provider": {"provider_id": "p-1", "login": "ci", "provider_type": "git"}},
        got={"provider_id": "p-1"},
    ),
    "mailboxes in one array": ByHand(
        lambda tw: tw.mail.mailboxes.create_many("example.com", body=[{"login": "a", "password": "12345678"}]),
        "POST /api/v2/mail/domains/example.com/batch",
        [{"login": "a", "password": "12345678"}],
        status=201,
        answer={"mailboxes_batch": {"mailboxes": [], "errors": []}},
        got={"mailboxes": []},
    ),
    "moments in a query": ByHand(
        lambda tw: tw.cloud_ai.agents.statistics.list(2, start_time=datetime(2026, 1, 2, tzinfo=UTC), interval=60),
        "GET /api/v1/cloud-ai/agents/2/statistic?startTime=2026-01-02T00%3A00%3A00Z&interval=60",
        status=200,
        answer={"agent_statistics": [{"time": "2026-01-02T00:00:00Z", "ingoing_tokens": 1, "outgoing_tokens": 2}]},
        got={"items.0.outgoing_tokens": 2},
    ),
    "purging a cache": ByHand(
        lambda tw: tw.cdn.http_resources.clear_cache(22, purge_type="partial", paths=["/a b"]),
        "POST /api/v1/cdn/http-resources/22/clear-cache",
        {"purge_type": "partial", "paths": ["/a b"]},
    ),
    "a user of the storage": ByHand(
        lambda tw: tw.storages.iam_users.create(name="backup"),
        "POST /api/v2/storages/users",
        {"name": "backup"},
        status=200,
        answer={"iam_user": {"id": "u-1", "name": "backup", "access_key": "AK", "secret_key": "SK", "status": "active"}},
        got={"id": "u-1", "secret_key": SecretStr("SK")},
    ),
    "all parameters of databases": ByHand(
        lambda tw: tw.dbs.parameters.get(),
        "GET /api/v1/dbs/parameters",
        status=200,
        answer={"mysql": ["sql_mode"], "response_id": "r-3"},
        got={"mysql": ["sql_mode"]},
    ),
}


@pytest.fixture
def tw(server: RecordingServer) -> Iterator[Timeweb]:
    with Timeweb("secret-token", base_url=server.url, rate_limit=RateLimit.off(), max_retries=0) as client:
        yield client


def attribute(result: Any, path: str) -> Any:
    for part in path.split("."):
        if part.isdecimal():
            result = result[int(part)]
        else:
            result = result[part] if isinstance(result, dict) else getattr(result, part)
    return result


@pytest.mark.parametrize("name", CASES)
def test_call(name: str, server: RecordingServer, tw: Timeweb) -> None:
    case = CASES[name]
    server.will_answer(case.status, case.answer)
    result = case.call(tw)
    (received,) = server.received
    assert received.line == case.line
    assert received.headers["authorization"] == "Bearer secret-token"
    if case.body is None:
        assert received.body == b""
        assert "content-type" not in received.headers
    else:
        assert json.loads(received.body) == case.body
        assert received.headers["content-type"] == "application/json"
    if not case.got:
        assert result is None or case.answer
    for path, value in case.got.items():
        found = attribute(result, path)
        assert found == value
        assert type(found) is type(value)


def test_there_are_forty() -> None:
    assert len(CASES) >= 40


def test_an_unconfirmed_deletion_is_an_error_with_the_hash(server: RecordingServer, tw: Timeweb) -> None:
    server.will_answer(200, {"server_delete": {"hash": "15095f25", "is_moved_in_quarantine": False}})
    with pytest.raises(ConfirmationRequired) as caught:
        tw.servers.delete(1051)
    assert caught.value.hash == "15095f25"


def test_an_image_is_sent_as_it_is(server: RecordingServer, tw: Timeweb) -> None:
    server.will_answer(200, {"upload_successful": {"image_id": "i-1"}})
    assert tw.images.upload("i-1", body=b"\x00qcow").image_id == "i-1"
    (received,) = server.received
    assert (received.line, received.body) == ("POST /api/v1/images/i-1", b"\x00qcow")
    assert received.headers["content-type"] == "application/octet-stream"


def test_documents_are_sent_as_a_form(server: RecordingServer, tw: Timeweb) -> None:
    server.will_answer(200, {"uploaded_files": ["a.md", "b.md"]})
    assert tw.cloud_ai.knowledge_bases.upload(4, files=[b"# one", b"# two"]).items == ["a.md", "b.md"]
    (received,) = server.received
    assert received.line == "POST /api/v1/cloud-ai/knowledge-bases/4/upload"
    assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert received.body.count(b'name="files"') == 2
    assert received.body.index(b"# one") < received.body.index(b"# two")


def test_a_document_comes_as_bytes(server: RecordingServer, tw: Timeweb) -> None:
    server.will_answer(200, b"%PDF\x00", "application/octet-stream")
    assert tw.cloud_ai.knowledge_bases.documents.download(4, 2) == b"%PDF\x00"


def test_a_kubeconfig_comes_as_text(server: RecordingServer, tw: Timeweb) -> None:
    server.will_answer(200, b"apiVersion: v1\n", "application/yaml")
    assert tw.k8s.clusters.kubeconfig.get(777) == "apiVersion: v1\n"


def test_the_keys_of_a_bucket_do_not_show(server: RecordingServer, tw: Timeweb) -> None:
    origin = {"servers": [{"host": "b.example.com", "port": 443}], "aws": {"access_key": "AK-1", "secret_key": "SK-1"}}
    server.will_answer(200, {"http_resource_configuration": {"origin": origin, "robots": {"type": "deny"}}})
    found = tw.cdn.http_resources.configuration.get(22)
    assert "AK-1" not in repr(found)
    assert "SK-1" not in repr(found)
    assert found.origin is not None
    assert found.origin.aws is not None
    assert found.origin.aws.secret_key == SecretStr("SK-1")


def test_pages_follow_the_items_received(server: RecordingServer, tw: Timeweb) -> None:
    server.will_answer(200, {"servers": [SERVER], "meta": {"total": 3}})
    assert [one.id for one in tw.servers.list(limit=2)] == [1051]
    assert [one.line for one in server.received] == ["GET /api/v1/servers?limit=2", "GET /api/v1/servers?limit=2&offset=1"]
