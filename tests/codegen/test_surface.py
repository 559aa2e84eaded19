"""The generated surface, looked at from outside: every operation is a typed method on both clients, and the two are alike."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from typing_extensions import is_typeddict

from codegen.documents import BUNDLE
from timeweb_sdk import AsyncTimeweb, Timeweb
from timeweb_sdk.operations import OPERATIONS, Operation

UNTYPED_REPLIES = {
    "getCountries": "countries are keyed by their code, whatever the code",
    "getDatabaseParameters": "parameters are keyed by database engine",
    "getServersPresetTypes": "configurators are keyed by their family",
}
"""Operations that return a dict, with the reason."""


def method(client: Timeweb | AsyncTimeweb, operation: Operation) -> Any:
    found: Any = client
    for name in operation.attribute.split("."):
        found = getattr(found, name)
    return found


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[Timeweb, AsyncTimeweb]]:
    with Timeweb(token="token") as sync:
        yield sync, AsyncTimeweb(token="token")


def test_every_operation_is_a_typed_method_on_both_clients(clients: tuple[Timeweb, AsyncTimeweb]) -> None:
    for operation, found in ((one, method(client, one)) for client in clients for one in OPERATIONS.values()):
        signature = inspect.signature(found)
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}, operation.id
        hints = typing.get_type_hints(found)
        assert set(hints) == {*signature.parameters, "return"}, operation.id
        returned = hints["return"]
        if operation.id not in UNTYPED_REPLIES:
            assert returned is not Any, operation.id
            assert typing.get_origin(returned) is not dict, operation.id
            assert returned is not dict, operation.id


def test_the_vendors_operations_are_all_there() -> None:
    bundle = json.loads(BUNDLE.read_text(encoding="utf-8"))
    vendor = {(method.upper(), path) for path, item in bundle["paths"].items() for method in item if method != "parameters"}
    assert {(operation.method, operation.path) for operation in OPERATIONS.values() if operation.source == "vendor"} == vendor
    assert len({operation.attribute for operation in OPERATIONS.values()}) == len(OPERATIONS)


def test_sync_and_async_are_alike(clients: tuple[Timeweb, AsyncTimeweb]) -> None:
    for operation in OPERATIONS.values():
        sync, asynchronous = (method(client, operation) for client in clients)
        one, other = inspect.signature(sync), inspect.signature(asynchronous)
        assert list(one.parameters.values()) == list(other.parameters.values()), operation.id
        assert str(one.return_annotation).replace("Page[", "AsyncPage[", 1) == str(other.return_annotation), operation.id
        assert sync.__doc__ == asynchronous.__doc__, operation.id
        assert inspect.iscoroutinefunction(asynchronous) is not operation.listing, operation.id


def test_every_parameter_with_a_place_for_a_secret_is_hidden_first(clients: tuple[Timeweb, AsyncTimeweb]) -> None:
    """Otherwise the frame of the method would show it in a traceback with locals."""
    secret = set()
    for operation in OPERATIONS.values():
        for client in clients:
            found = method(client, operation)
            hints = typing.get_type_hints(found)
            hidden = set(re.findall(r"^ +(\w+) = hidden\(\1\)$", inspect.getsource(found), re.MULTILINE))
            missing = {name for name in inspect.signature(found).parameters if has_place_for_secret(hints[name])} - hidden
            assert missing == set(), operation.attribute
            secret |= hidden
    assert {"password", "secret_key", "admin", "envs"} <= secret


def has_place_for_secret(hint: Any) -> bool:
    inside: list[Any] = [*typing.get_args(hint)]
    if is_typeddict(hint):
        inside += typing.get_type_hints(hint).values()
    return hint is SecretStr or any(map(has_place_for_secret, inside))


def test_required_path_parameters_come_by_position_and_the_rest_by_keyword() -> None:
    with Timeweb(token="token") as client:
        for operation in OPERATIONS.values():
            parameters = list(inspect.signature(method(client, operation)).parameters.values())
            positional = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
            assert len(positional) == len(re.findall("{", operation.path)), operation.id


def test_every_method_says_in_english_what_it_does(clients: tuple[Timeweb, AsyncTimeweb]) -> None:
    for operation in OPERATIONS.values():
        doc = inspect.getdoc(method(clients[0], operation))
        assert doc, operation.id
        assert not doc.startswith("Call "), operation.id
        assert not re.search("[\u0400-\u04ff]", doc), operation.id
        assert f"{operation.method} {operation.path}" in doc, operation.id


def test_a_resource_lists_what_it_offers() -> None:
    with Timeweb(token="token") as client:
        assert {"list", "get", "create", "update", "delete", "reboot", "disks", "ips"} <= set(dir(client.servers))
        assert client.servers is client.servers


def test_every_resource_says_what_the_thing_is() -> None:
    with Timeweb(token="token") as client:
        for operation in OPERATIONS.values():
            resource: Any = client
            for name in operation.attribute.split(".")[:-1]:
                resource = getattr(resource, name)
                assert not (inspect.getdoc(type(resource)) or "What").startswith("What ``"), operation.attribute
