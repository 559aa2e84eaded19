"""The corrections in ``openapi/overlay.yaml``: each says why and from where, and each does what it is there for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonpath
import pytest

from codegen.documents import NUMBERS_LOCK, OPENAPI
from codegen.errors import CodegenError
from codegen.numbers import Numbers
from codegen.overlay import apply, load

METHODS = {"get", "post", "put", "patch", "delete"}
PUBLIC = re.compile(
    r"""[\w-]+/[\w-]+\ (@\ [0-9a-f]{7}|pull\ request|issue)   # a repository and a place in it
    |konser80/mcp-timeweb-cloud
    |^the\ vendor's\ published\ contract
    |^reported\ by\ public\ clients,\ unverified""",
    re.VERBOSE,
)


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((OPENAPI / "bundle.json").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def overlay() -> dict[str, Any]:
    return load(OPENAPI / "overlay.yaml")


@pytest.fixture(scope="module")
def corrected(bundle: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    document = apply(bundle, overlay, source_name="overlay.yaml").document
    Numbers.read(NUMBERS_LOCK).decide(document)
    return document


@pytest.fixture(scope="module")
def schemas(corrected: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = corrected["components"]["schemas"]
    return found


def found(document: dict[str, Any], path: str) -> list[Any]:
    return [match.value for match in jsonpath.finditer(path, document)]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def test_every_correction_says_why_from_where_and_how_sure(overlay: dict[str, Any]) -> None:
    for action in overlay["actions"]:
        assert action["x-reason"], action["target"]
        assert action["x-confidence"] in {"live", "documented", "inferred"}, action["target"]
        assert PUBLIC.search(action["x-source"]), action["x-source"]


def test_corrections_go_stale_once_the_vendor_makes_them(corrected: dict[str, Any], overlay: dict[str, Any]) -> None:
    """Applied to their own result, every single action says that there is nothing left for it to do."""
    with pytest.raises(CodegenError) as caught:
        apply(corrected, overlay, source_name="overlay.yaml")
    assert len(str(caught.value).splitlines()) == len(overlay["actions"])


def test_no_operation_is_lost_and_added_ones_are_marked(bundle: dict[str, Any], corrected: dict[str, Any]) -> None:
    vendor = {(path, method) for path, method, _ in operations(bundle)}
    now = {(path, method): operation.get("x-source") for path, method, operation in operations(corrected)}
    assert vendor <= now.keys()
    assert {key for key, source in now.items() if source == "overlay"} == now.keys() - vendor
    ids = [operation["operationId"] for _, _, operation in operations(corrected)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/cdn/http-resources", {"get", "post"}),
        ("/api/v1/cdn/http-resources/{resource_id}", {"get", "patch", "delete"}),
        ("/api/v1/cdn/http-resources/{resource_id}/configuration", {"get"}),
        ("/api/v1/cdn/http-resources/{resource_id}/clear-cache", {"post"}),
        ("/api/v1/cdn/presets", {"get"}),
        ("/api/v1/cdn/certificates", {"get", "post"}),
        ("/api/v1/configurator/k8s", {"get"}),
        ("/api/v1/k8s/clusters/{cluster_id}/groups/{group_id}", {"get", "patch", "delete"}),
        ("/api/v2/storages/users", {"get", "post"}),
        ("/api/v2/storages/users/{user_id}", {"get", "delete"}),
        ("/api/v1/presets/types/servers", {"get"}),
    ],
)
def test_surfaces_that_the_vendor_left_out(corrected: dict[str, Any], path: str, methods: set[str]) -> None:
    assert METHODS & corrected["paths"][path].keys() == methods


def test_every_route_declares_exactly_its_placeholders(bundle: dict[str, Any], corrected: dict[str, Any]) -> None:
    def wrong(document: dict[str, Any]) -> set[str]:
        result: set[str] = set()
        for path, _, operation in operations(document):
            parameters = [
                document["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]] if "$ref" in parameter else parameter
                for parameter in operation.get("parameters", [])
            ]
            declared = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
            if declared != set(re.findall(r"{(.+?)}", path)):
                result.add(operation["operationId"])
        return result

    assert wrong(bundle) >= {"getNetworkDrive", "getCommits", "getAppsPresets"}
    assert wrong(corrected) == set()


def test_required_names_only_properties_that_exist(corrected: dict[str, Any]) -> None:
    for schema in found(corrected, "$..[?@.properties && @.required]"):
        assert set(schema["required"]) <= schema["properties"].keys()


def test_locations_and_zones_are_one_set_each(corrected: dict[str, Any]) -> None:
    live = {"ru-1", "ru-2", "ru-3", "nl-1", "de-1", "kz-1", "us-4", "pl-1"}
    enums = [set(enum) for enum in found(corrected, "$..enum") if "ru-1" in enum]
    assert len(enums) > 15
    assert all(live <= enum for enum in enums)
    zones = [set(enum) for enum in found(corrected, "$..enum") if "msk-1" in enum]
    assert len(zones) >= 3
    assert all({"spb-5", "gdn-1", "us-4", "ala-1"} <= zone for zone in zones)


def test_money_is_decimal(schemas: dict[str, Any]) -> None:
    finances = schemas["finances"]["properties"]
    money = {name for name, schema in finances.items() if schema.get("format") == "decimal"}
    assert money == {
        "balance", "total_balance", "hourly_cost", "hourly_fee", "monthly_cost", "monthly_fee", "total_paid",
    }  # fmt: skip
    prices = found(schemas, "$..properties['price','cost','total_cost','prolong_price']")
    assert len(prices) > 20
    assert all((schema["type"], schema["format"]) == ("number", "decimal") for schema in prices)
    tokens = schemas["document-status-info"]["properties"]["details"]["oneOf"][3]["properties"]["balance"]
    assert tokens["type"] == "integer", "a balance of tokens is not money"


def test_no_number_is_left_undecided(corrected: dict[str, Any]) -> None:
    numbers = found(corrected, "$..[?@.type == 'number']")
    assert {schema["format"] for schema in numbers} == {"decimal", "double"}
    server = corrected["components"]["schemas"]["vds"]["properties"]
    assert {server[name]["type"] for name in ("id", "preset_id", "cpu", "ram", "gpu")} == {"integer"}


def test_secrets_are_passwords(corrected: dict[str, Any], schemas: dict[str, Any]) -> None:
    names = "'root_pass','vnc_pass','password','secret_key','access_key','private_key','key_data'"
    secrets = found(corrected, f"$..properties[{names}]")
    assert len(secrets) > 25
    assert all(schema["format"] == "password" for schema in secrets)
    for name in ("root_pass", "vnc_pass"):
        assert schemas["vds"]["properties"][name]["format"] == "password"
    keys = schemas["config-origin"]["properties"]["aws"]["properties"]
    keys |= {"token": schemas["config-security"]["properties"]["secure_token"]["properties"]["secret_key"]}
    keys |= {name: schemas["add-certificate"]["properties"][name] for name in ("private_key",)}
    assert {schema["format"] for schema in keys.values()} == {"password"}


def test_envelope_keys_have_underscores(corrected: dict[str, Any]) -> None:
    text = json.dumps(corrected["paths"])
    for key in ("ssh_keys", "ssh_key", "knowledge_bases"):
        assert f'"{key}"' in text
    for key in ("ssh-keys", "ssh-key", "knowledgebases"):
        assert f'"{key}":' not in text
        assert f'"{key}"]' not in text


def test_response_id_may_be_null(schemas: dict[str, Any]) -> None:
    assert schemas["response_id"]["nullable"] is True
    inline = found(schemas, "$[*].properties.response_id")
    assert len(inline) > 20
    assert all(schema["nullable"] for schema in inline)


def test_a_server_is_what_the_api_sends(schemas: dict[str, Any]) -> None:
    server = schemas["vds"]
    assert "qemu_agent" not in server["required"]
    assert server["properties"]["created_at"]["format"] == "date-time"
    assert server["properties"]["root_pass"]["nullable"] is True
    assert "starting" in server["properties"]["status"]["enum"]
    network = server["properties"]["networks"]["items"]
    assert network["required"] == ["type"]
    address = network["properties"]["ips"]["items"]["properties"]
    assert address["id"] == {"type": "string"}
    assert "ipv_4" in address["type"]["enum"]
    assert "gpu" in schemas["create-server"]["properties"]["configuration"]["required"]


def test_the_other_corrected_models(corrected: dict[str, Any], schemas: dict[str, Any]) -> None:
    assert schemas["firewall-group-resource"]["properties"]["id"]["type"] == "string"
    assert set(schemas["ResourceType"]["enum"]) == {"server", "dbaas", "balancer", "app"}
    assert {"router", "dbaas"} <= set(schemas["floating-ip"]["properties"]["resource_type"]["enum"])
    assert "router" in schemas["bind-floating-ip"]["properties"]["resource_type"]["enum"]
    assert "building" in schemas["deploy-status"]["enum"]
    assert schemas["app"]["required"] == ["id", "name", "status"]
    assert schemas["vpc"]["properties"]["description"]["nullable"] is True
    assert {"login", "registered_at", "is_password_set", "two_factor_method"} <= schemas["status"]["properties"].keys()
    group = schemas["NodeGroupIn"]["properties"]
    assert {"min_size", "max_size", "taints"} <= group.keys()
    assert group["min_size"]["minimum"] == 0
    assert "min-size" not in group
    upload = corrected["paths"]["/api/v1/images/{image_id}"]["post"]["requestBody"]
    assert upload["content"] == {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    (resources,) = found(corrected, "$.paths['/api/v1/projects/{project_id}/resources'].get..[?@.dedicated_servers]")
    undocumented = {"apps", "agents", "domains", "knowledge_bases", "mailboxes", "registries", "cdn", "monitorings", "routers"}
    assert undocumented < resources.keys()
