"""Every method of the SDK, called strictly against the emulator: what one side says the other understands."""

import inspect
import json
from typing import Any

import pytest

from tests.emulator.every_operation import body_of, concrete_path, parameters, prepared
from timeweb_sdk.operations import OPERATIONS
from timeweb_sdk.testing._contract import contract

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated by Timeweb:DeprecationWarning")

# What an account of servers alone has none of.
EMPTY = {
    "getDomainDefaultDNSRecords",
    "getProjectBalancers",
    "getProjectClusters",
    "getProjectDatabases",
    "getProjectDedicatedServers",
    "getProjectStorages",
    "getServerLogs",
}


def arguments(operation: str, method: Any, emulator: Any) -> tuple[list[Any], dict[str, Any]]:
    entry = OPERATIONS[operation]
    found = contract().match(concrete_path(operation, emulator))
    assert found is not None
    positional = [int(value) if value.isdigit() else value for value in found[1]]
    names = inspect.signature(method).parameters
    named: dict[str, Any] = {}
    body = json.loads(body_of(operation, emulator) or b"null")
    if entry.body == "multipart":
        named["files"] = [("notes.txt", b"text")]
    elif entry.body == "binary":
        named["body"] = b"bytes"
    elif isinstance(body, dict) and (set(body) <= set(names) or "body" not in names):
        named = {key.replace("-", "_"): value for key, value in body.items()}
    elif body is not None:
        named["body"] = body
    for parameter in parameters(operation):
        if parameter["in"] == "query" and parameter.get("required"):
            schema = parameter["schema"]
            known = {"integer": 2048, "string": "2026-01-01T00:00:00Z"}
            named[parameter["name"]] = schema["enum"][0] if "enum" in schema else known[schema["type"]]
    return positional, named


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_method_understands_the_reply(operation: str) -> None:
    emulator = prepared()
    with emulator.client(strict=True, max_retries=0) as tw:
        method: Any = tw
        for name in OPERATIONS[operation].attribute.split("."):
            method = getattr(method, name)
        positional, named = arguments(operation, method, emulator)
        result = method(*positional, **named)
        if OPERATIONS[operation].listing:
            # A list without items would prove nothing.
            assert bool(list(result)) is (operation not in EMPTY)
    assert emulator.requests[-1]["operation"] == operation
    assert 200 <= emulator.requests[-1]["status"] < 300
