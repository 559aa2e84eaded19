"""Attributes follow the path."""

from __future__ import annotations

import pytest

from codegen.attributes import Endpoint, attributes

SERVERS = [
    Endpoint("get", "/api/v1/servers", True, False),
    Endpoint("post", "/api/v1/servers", False, False),
    Endpoint("get", "/api/v1/servers/{server_id}", False, False),
]


@pytest.mark.parametrize(
    ("method", "path", "listing", "expected"),
    [
        ("get", "/api/v1/servers/{server_id}/disks/{disk_id}/backups", True, "servers.disks.backups.list"),
        ("get", "/api/v1/account/finances", False, "account.finances.get"),
        ("patch", "/api/v1/servers/{server_id}", False, "servers.update"),
        ("put", "/api/v1/servers/{server_id}", False, "servers.update"),
        ("delete", "/api/v1/servers/{server_id}", False, "servers.delete"),
        ("post", "/api/v1/servers/{server_id}/hard-reboot", False, "servers.hard_reboot"),
        ("get", "/api/v2/locations", True, "locations.list"),
        ("get", "/no/version", False, "no.version.get"),
        ("post", "/api/v1/lonely", False, "lonely.create"),
    ],
)
def test_verb_and_place(method: str, path: str, listing: bool, expected: str) -> None:
    endpoint = Endpoint(method, path, listing, False)
    assert attributes([*SERVERS, endpoint])[endpoint] == expected


def test_a_post_beside_other_methods_creates() -> None:
    assert attributes(SERVERS)[SERVERS[1]] == "servers.create"


def test_the_newest_version_takes_the_plain_name() -> None:
    old = Endpoint("get", "/api/v1/mail", True, True)
    new = Endpoint("get", "/api/v2/mail", True, False)
    assert attributes([old, new]) == {new: "mail.list", old: "mail.list_v1"}


def test_one_place_in_one_version_is_told_apart_by_its_parameter() -> None:
    everywhere = Endpoint("get", "/api/v1/projects/resources/servers", True, False)
    in_project = Endpoint("get", "/api/v1/projects/{project_id}/resources/servers", True, False)
    assert len(set(attributes([everywhere, in_project]).values())) == 2
