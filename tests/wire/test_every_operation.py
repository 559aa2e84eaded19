"""Every operation, called through the built package: what it sends and what it makes of the reply, against the contract."""

from __future__ import annotations

import itertools
import json
import keyword
import re
import warnings
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, unquote

import httpx
import pytest
from pydantic import BaseModel, SecretStr

from tests.wire.expectation import OPENAPI, Case, Json, cases, operations, resolve
from timeweb_sdk import AsyncTimeweb, RateLimit, Timeweb
from timeweb_sdk.operations import OPERATIONS

LOCK: dict[str, str] = json.loads((OPENAPI / "names.lock").read_text(encoding="utf-8"))


@cache
def cases_by_operation() -> dict[str, list[Case]]:
    """Read when a test runs: it takes a second, which every process that only collects the tests would spend."""
    return {operation["operationId"]: list(cases(path, method, operation)) for path, method, operation in operations()}


class Recorder:
    """Answers with the reply of the case and keeps what was asked."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        headers = {"Content-Type": self.case.reply_type} if self.case.reply_type else {}
        return httpx.Response(self.case.status, content=self.case.reply, headers=headers)

    async def asynchronously(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self(request)


# -- the call -------------------------------------------------------------------------------------------------------------


def python_name(wire: str) -> str:
    """``startTime`` -> ``start_time``."""
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", wire.removesuffix("[]")).replace("-", "_").lower()
    return name + "_" if keyword.iskeyword(name) else name


def argument_name(case: Case, place: str, wire: str) -> str:
    """The name in the lock if there is one, else the wire's in Python's spelling."""
    return LOCK.get(f"/paths/{case.path.replace('/', '~1')}/{case.method.lower()}/{place}/{wire}") or python_name(wire)


def argument(schema: Json, value: Any) -> Any:
    """Give a value as a caller would: a moment as datetime, a secret as SecretStr."""
    schema = resolve(schema)
    if isinstance(value, str) and schema.get("format") == "date-time":
        return datetime.fromisoformat(value)
    if isinstance(value, str) and schema.get("format") == "password":
        return SecretStr(value)
    return value


def as_models(method: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Replace nested objects by the models that the signature offers for them."""
    hints = get_type_hints(method)
    return {name: as_model(hints[name], value) for name, value in named.items()}


def as_model(hint: Any, value: Any) -> Any:
    arms = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if isinstance(value, dict):
        models = [arm for arm in arms if isinstance(arm, type) and issubclass(arm, BaseModel)]
        return models[0].model_validate(value) if models else value
    if isinstance(value, list):
        items = [get_args(arm)[0] for arm in arms if get_origin(arm) is Sequence]
        return [as_model(items[0], one) for one in value] if items else value
    return value


def call(client: Timeweb | AsyncTimeweb, case: Case, *, models: bool = False) -> Any:
    method: Any = client
    for word in OPERATIONS[case.operation_id].attribute.split("."):
        method = getattr(method, word)
    named = {
        argument_name(case, place, wire): argument(case.schemas[wire], value)
        for place, values in (("parameters/query", case.query), ("requestBody", case.fields))
        for wire, value in values.items()
    }
    if case.body_kind == "multipart":
        named = {name: [b"%d" % number for number, _ in enumerate(value)] for name, value in named.items()}
    if case.whole_body is not None:
        named["body"] = case.whole_body
    if models:
        named = as_models(method, named)
    with warnings.catch_warnings():
        if OPERATIONS[case.operation_id].deprecated:
            warnings.simplefilter("ignore", DeprecationWarning)
        return method(*case.path_values, **named)


# -- what was sent --------------------------------------------------------------------------------------------------------


def check_request(recorder: Recorder) -> None:
    case = recorder.case
    (request,) = recorder.requests
    assert request.method == case.method
    raw_path, _, raw_query = request.url.raw_path.decode("ascii").partition("?")
    values = iter(case.path_values)
    expected = [str(next(values)) if segment.startswith("{") else segment for segment in case.path.split("/")]
    assert [unquote(segment) for segment in raw_path.split("/")] == expected
    assert sorted(parse_qsl(raw_query, keep_blank_values=True, strict_parsing=bool(raw_query))) == case.expected_query
    assert request.headers["authorization"] == "Bearer secret-token"
    content_type = request.headers.get("content-type", "")
    if case.body_kind == "none":
        assert (request.content, content_type) == (b"", "")
    elif case.body_kind == "binary":
        assert (request.content, content_type) == (case.whole_body, "application/octet-stream")
    elif case.body_kind == "multipart":
        check_form(request, case)
    else:
        assert content_type == "application/json"
        wanted = case.fields if case.whole_body is None else case.whole_body
        assert json.loads(request.content) == wanted


def check_form(request: httpx.Request, case: Case) -> None:
    boundary = request.headers["content-type"].removeprefix("multipart/form-data; boundary=")
    parts = request.content.split(b"--" + boundary.encode())[1:-1]
    found = [
        (match[1].decode(), part.split(b"\r\n\r\n", 1)[1][:-2])
        for part in parts
        if (match := re.search(rb' name="(.+?)"', part))
    ]
    assert found == [(name, b"%d" % number) for name, value in case.fields.items() for number, _ in enumerate(value)]


# -- what came back -------------------------------------------------------------------------------------------------------


def check_value(actual: Any, schema: Json, wire: Any, where: str) -> None:
    schema = resolve(schema)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            check_value(actual, schema[key][0], wire, where)
            return
    if wire is None:
        assert actual is None, where
    elif "properties" in schema:
        check_model(actual, schema, wire, where)
    elif isinstance(wire, list):
        assert isinstance(actual, list), where
        assert len(actual) == len(wire), where
        for number, item in enumerate(wire):
            check_value(actual[number], schema.get("items", {}), item, f"{where}[{number}]")
    elif isinstance(wire, dict):
        assert isinstance(actual, dict), where
        values = schema.get("additionalProperties")
        for key, item in wire.items():
            check_value(actual[key], values if isinstance(values, dict) else {}, item, f"{where}.{key}")
    else:
        check_scalar(actual, schema, wire, where)


def check_model(actual: Any, schema: Json, wire: Json, where: str) -> None:
    assert isinstance(actual, BaseModel), f"{where} is {type(actual).__name__}"
    by_wire = {field.alias or name: name for name, field in type(actual).model_fields.items()}
    for key, child in schema["properties"].items():
        assert key in by_wire, f"{where} has no {key}"
        value = getattr(actual, by_wire[key])
        check_value(value, child, wire.get(key), f"{where}.{key}")
        if isinstance(value, SecretStr):
            assert value.get_secret_value() not in repr(actual), where


def check_scalar(actual: Any, schema: Json, wire: Any, where: str) -> None:
    if schema.get("format") == "date-time":
        assert actual == datetime.fromisoformat(wire), where
    elif schema.get("format") == "password":
        assert isinstance(actual, SecretStr), where
        assert actual.get_secret_value() == wire, where
    elif schema.get("format") == "decimal":
        assert isinstance(actual, Decimal), where
        assert actual == Decimal(str(wire)), where
    elif not schema and re.search("secret|token|password", where):
        assert isinstance(actual, SecretStr), f"{where}: a secret inside an object of free form"
        assert actual.get_secret_value() == wire, where
    else:
        assert (type(actual), actual) == (type(wire), wire), where


def check_reply(result: Any, items: list[Any] | None, total: int | None, case: Case) -> None:
    if case.payload_schema is None:
        assert result is None
    elif case.paged:
        check_value(items, case.payload_schema, case.payload, case.operation_id)
        assert total in {len(case.payload), None}
    else:
        check_value(result, case.payload_schema, case.payload, case.operation_id)
        assert not getattr(result, "decode_issues", ())


# -- the tests ------------------------------------------------------------------------------------------------------------


def test_the_package_has_exactly_the_operations_of_the_contract() -> None:
    assert {(operation.id, operation.method, operation.path) for operation in OPERATIONS.values()} == {
        (operation["operationId"], method.upper(), path) for path, method, operation in operations()
    }


def test_nested_objects_are_tried_as_models_too() -> None:
    value = {"configurator_id": 11, "disk": 15360, "cpu": 2, "ram": 2048, "gpu": 0}
    with Timeweb("secret-token") as client:
        named = as_models(client.servers.create, {"name": "a", "configuration": value})
        (mailbox,) = as_models(client.mail.mailboxes.create_many, {"body": [{"login": "a", "password": "b"}]})["body"]
    assert named["name"] == "a"
    assert isinstance(named["configuration"], BaseModel)
    assert isinstance(mailbox, BaseModel)


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_sync(operation_id: str) -> None:
    for case, models in itertools.product(cases_by_operation()[operation_id], (False, True)):
        if models and not any(isinstance(value, (dict, list)) for value in (case.whole_body, *case.fields.values())):
            continue
        recorder = Recorder(case)
        http = httpx.Client(transport=httpx.MockTransport(recorder))
        with http, Timeweb("secret-token", http_client=http, rate_limit=RateLimit.off(), max_retries=0, strict=True) as client:
            result = call(client, case, models=models)
            items, total = (result.items, result.total) if case.paged else (None, None)
        check_request(recorder)
        check_reply(result, items, total, case)


@pytest.mark.filterwarnings("ignore:.* is deprecated by Timeweb:DeprecationWarning")
@pytest.mark.parametrize("operation_id", OPERATIONS)
async def test_async(operation_id: str) -> None:
    case = cases_by_operation()[operation_id][0]
    recorder = Recorder(case)
    http = httpx.AsyncClient(transport=httpx.MockTransport(recorder.asynchronously))
    client = AsyncTimeweb("secret-token", http_client=http, rate_limit=RateLimit.off(), max_retries=0, strict=True)
    async with http, client:
        result = await call(client, case)
    items, total = (result.items, result.total) if case.paged else (None, None)
    check_request(recorder)
    check_reply(result, items, total, case)
