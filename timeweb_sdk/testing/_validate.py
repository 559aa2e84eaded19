"""Request validation in the API's two dialects: NestJS everywhere, pydantic in the firewall service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any
from uuid import UUID

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk.testing._contract import Contract, Endpoint, Schema
from timeweb_sdk.testing._http import ApiError, Request, bad_request

_NUMBER = "must be a number conforming to the specified constraints"
_INT64 = 2**63
_NUMERAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")
# The contract here warns of it, the API does not: it takes the order for one of preset 0 (see `order_size`).
_FORGOTTEN_GPU = "configuration.gpu should not be empty"
_FORMATS: dict[str, tuple[Callable[[str], object], str]] = {
    "uuid": (UUID, "a UUID"),
    "ipv4": (IPv4Address, "an IPv4 address"),
    "ipv6": (IPv6Address, "an IPv6 address"),
    "cidr": (lambda text: ip_network(text, strict=False), "an IP address or a subnet"),
    "date-time": (datetime.fromisoformat, "an ISO 8601 date"),
}


def parse_path(contract: Contract, endpoint: Endpoint, values: list[str]) -> dict[str, str]:
    """Placeholder -> text as sent; a non-numeric value where the contract has a number is a 400."""
    path = dict(zip(endpoint.path_params, values, strict=True))
    for name, schema in endpoint.path_params.items():
        resolved = contract.resolve(schema)
        if resolved.get("type") in ("integer", "number"):
            text = path[name]
            if not (text.isascii() and text.isdigit()) or not resolved.get("minimum", 0) <= int(text) < _INT64:
                raise bad_request(f"Value {_NUMBER}")
        elif "enum" in resolved and path[name] not in resolved["enum"]:
            raise _refusal(endpoint, [_not_in(name, resolved["enum"], endpoint)])
    return path


def parse_query(contract: Contract, endpoint: Endpoint, request: Request) -> dict[str, str]:
    """Query values the contract knows, checked by their schema; unknown ones are ignored, as the API does."""
    errors: list[str] = []
    found: dict[str, str] = {}
    for name, schema in endpoint.query_params.items():
        if name not in request.query:
            continue
        text, resolved = request.query[name], contract.resolve(schema)
        if resolved.get("type") in ("integer", "number"):
            if not (text.isascii() and text.isdigit()) or int(text) >= _INT64:
                errors.append(f"{name} {_NUMBER}")
            elif int(text) < resolved.get("minimum", 0):
                errors.append(f"{name} must not be less than {resolved['minimum']}")
            elif int(text) > resolved.get("maximum", _INT64):
                errors.append(f"{name} must not be greater than {resolved['maximum']}")
        elif resolved.get("type") == "boolean" and text not in ("true", "false", "0", "1"):
            errors.append(f"{name} must be a boolean value")
        elif "enum" in resolved and text not in resolved["enum"]:
            errors.append(_not_in(name, resolved["enum"], endpoint))
        found[name] = text
    if errors:
        raise _refusal(endpoint, errors)
    return found


def parse_body(contract: Contract, endpoint: Endpoint, request: Request) -> Any:
    """The JSON body, checked against the contract: an unknown property, a wrong type or a missing one is a 400.

    What it means is given back, see `understood`.
    """
    if endpoint.body is None or endpoint.body_type != "application/json":
        return None
    if not request.body.strip():
        body: Any = {}
    else:
        try:
            body = json.loads(request.body, parse_constant=_no_constant)
        except ValueError as error:
            raise bad_request(f"Unexpected token in JSON: {error}") from None
    body = understood(contract, endpoint.body, body)
    errors = problems(contract, endpoint.body, body, "", pydantic=_speaks_pydantic(endpoint))
    if errors and errors != [_FORGOTTEN_GPU]:
        raise _refusal(endpoint, errors)
    return body


def understood(contract: Contract, schema: Schema, value: Any) -> Any:
    """What a body means where it takes liberties that the API allows; what is wrong stays as it is, for `problems`.

    A null in an optional property that cannot be null is as good as absent: twc-cli 2.15.4 sends such nulls by default.
    Numbers and booleans may come as texts ("10", "true"), as documented examples have them, and the parameters of a
    database, which are texts, as numbers.
    """
    schema = contract.resolve(schema)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            readings = [understood(contract, option, value) for option in schema[choice]]
            return min(
                zip(readings, schema[choice], strict=True), key=lambda pair: len(problems(contract, pair[1], pair[0], ""))
            )[0]
    if is_object(value):
        return _understood_object(contract, schema, value)
    if is_array(value):
        return [understood(contract, schema.get("items", {}), item) for item in value]
    return _understood_scalar(schema.get("type"), value)


def _understood_object(contract: Contract, schema: Schema, value: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Schema] = schema.get("properties", {})
    required = schema.get("required", ())
    found: dict[str, Any] = {}
    for key, item in value.items():
        expected = contract.resolve(properties.get(key, {}))
        if item is None and key in properties and key not in required and expected and not expected.get("nullable"):
            continue
        found[key] = understood(contract, expected, _as_texts(item) if key == "config_parameters" else item)
    return found


def _as_texts(parameters: Any) -> Any:
    if not is_object(parameters):
        return parameters
    return {key: str(value) if type(value) in (int, float) else value for key, value in parameters.items()}


def _understood_scalar(kind: str | None, value: Any) -> Any:
    if isinstance(value, str):
        if kind in ("integer", "number") and _NUMERAL.fullmatch(value):
            return float(value) if "." in value else int(value)
        if kind == "boolean" and value in ("true", "false"):
            return value == "true"
    return value


def problems(contract: Contract, schema: Schema, value: Any, name: str, *, pydantic: bool = False) -> list[str]:
    """What is wrong with a value, in the words of the service; an empty list means nothing is."""
    schema = contract.resolve(schema)
    if value is None and (schema.get("nullable") or not schema):
        return []
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            verdicts = [problems(contract, option, value, name, pydantic=pydantic) for option in schema[choice]]
            return min(verdicts, key=len)
    if "enum" in schema and value not in schema["enum"]:
        return [_pydantic_enum(name, schema["enum"]) if pydantic else _nest_enum(name, schema["enum"])]
    kind = schema.get("type") or ("object" if "properties" in schema else None)
    if kind == "object":
        return _object_problems(contract, schema, value, name, pydantic)
    if kind == "array":
        if not is_array(value):
            return [f"{name or 'body'} must be an array"]
        found = [
            text
            for position, item in enumerate(value)
            for text in problems(contract, schema.get("items", {}), item, f"{name}.{position}", pydantic=pydantic)
        ]
        if len(value) < schema.get("minItems", 0):
            found.append(f"{name} must contain at least {schema['minItems']} elements")
        return found
    return _scalar_problems(schema, kind, value, name, pydantic)


def _object_problems(contract: Contract, schema: Schema, value: Any, name: str, pydantic: bool) -> list[str]:
    if not is_object(value):
        return [f"{name or 'body'} must be an object"]
    prefix = f"{name}." if name else ""
    properties: dict[str, Schema] = schema.get("properties", {})
    found: list[str] = []
    for key, item in value.items():
        if key in properties:
            found += problems(contract, properties[key], item, prefix + key, pydantic=pydantic)
        elif properties and not schema.get("additionalProperties"):
            found.append(
                f"{prefix}{key} extra fields not permitted" if pydantic else f"property {prefix}{key} should not exist"
            )
    for key in schema.get("required", []):
        if key not in value and key in properties:
            found.append(f"{prefix}{key} field required" if pydantic else f"{prefix}{key} should not be empty")
    return found


def _scalar_problems(schema: Schema, kind: str | None, value: Any, name: str, pydantic: bool) -> list[str]:
    if kind in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or (kind == "integer" and value != int(value)):
            return [f"{name} value is not a valid {kind}" if pydantic else f"{name} {_NUMBER}"]
        if value < schema.get("minimum", value):
            return [f"{name} must not be less than {schema['minimum']}"]
        if value > schema.get("maximum", value):
            return [f"{name} must not be greater than {schema['maximum']}"]
    elif kind == "boolean" and not isinstance(value, bool):
        return [f"{name} value could not be parsed to a boolean" if pydantic else f"{name} must be a boolean value"]
    elif kind == "string":
        return _string_problems(schema, value, name, pydantic)
    return []


def _string_problems(schema: Schema, value: Any, name: str, pydantic: bool) -> list[str]:
    if not isinstance(value, str):
        return [f"{name} str type expected" if pydantic else f"{name} must be a string"]
    if len(value) > schema.get("maxLength", len(value)):
        return [f"{name} must be shorter than or equal to {schema['maxLength']} characters"]
    if len(value) < schema.get("minLength", 0):
        return [f"{name} must be longer than or equal to {schema['minLength']} characters"]
    parse, expected = _FORMATS.get(schema.get("format", ""), (None, ""))
    if parse is not None:
        try:
            parse(value)
        except ValueError:
            return [f"{name} must be {expected}"]
    return []


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _speaks_pydantic(endpoint: Endpoint) -> bool:
    return "/firewall/" in endpoint.path


def _refusal(endpoint: Endpoint, errors: list[str]) -> ApiError:
    if _speaks_pydantic(endpoint):
        return bad_request("; ".join(errors), code="validation_error")
    return bad_request(errors)


def _not_in(name: str, allowed: list[Any], endpoint: Endpoint) -> str:
    return _pydantic_enum(name, allowed) if _speaks_pydantic(endpoint) else _nest_enum(name, allowed)


def _nest_enum(name: str, allowed: list[Any]) -> str:
    return f"{name} must be one of the following values: {', '.join(map(str, allowed))}"


def _pydantic_enum(name: str, allowed: list[Any]) -> str:
    return f"{name} value is not a valid enumeration member; permitted: {','.join(repr(value) for value in allowed)}"
