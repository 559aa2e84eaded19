"""Contracts of other years build and import; reduced to what was otherwise in them, with shapes of our own."""

from __future__ import annotations

from codegen import build as pipeline
from codegen.distil import distil
from codegen.tree import Json
from tests.codegen.conftest import Import, Run
from tests.codegen.contracts import NUMBER, STRING, contract, envelope, obj, operation, ref

IMPORT_ALL = """
import functools, timeweb_sdk.models, timeweb_sdk.params
from timeweb_sdk import AsyncTimeweb, Timeweb
from timeweb_sdk.operations import OPERATIONS
for module in (timeweb_sdk.models, timeweb_sdk.params):
    for name in module.__all__:
        getattr(module, name)
for client in (Timeweb("token"), AsyncTimeweb("token")):
    for operation in OPERATIONS.values():
        assert callable(functools.reduce(getattr, operation.attribute.split("."), client))
"""


def array(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def sent(schema: Json, media: str = "application/json") -> Json:
    return {"required": True, "content": {media: {"schema": schema}}}


def test_2023_an_enum_beside_the_schema_of_a_parameter_constants_and_types_called_true_and_null(
    run: Run, in_package: Import
) -> None:
    thing = obj(id=STRING, kind={"const": "thing"}, is_ready={"type": "true"}, owner={"oneOf": [STRING, {"type": "null"}]})
    parameters = [{"name": "order", "in": "query", "schema": STRING, "enum": ["asc", "desc"]}]
    reply = envelope("things", array(ref("thing")))
    paths = {"/api/v1/things": {"get": operation("getThings", reply=reply, parameters=parameters)}}
    code = """
from timeweb_sdk.models import Thing
thing = Thing.model_validate({"id": "1", "kind": "thing", "is_ready": True, "owner": None})
print(thing.kind, thing.is_ready, thing.owner)
"""
    assert in_package(run(contract(paths, {"thing": thing})), IMPORT_ALL + code) == "thing True None"


def test_2024_endpoints_that_are_gone_or_were_spelled_otherwise_build_with_todays_corrections_names_and_texts(
    in_package: Import,
) -> None:
    fqdn = {"name": "fqdn", "in": "path", "required": True, "schema": STRING}
    subdomain = {"name": "subdomain_fqdn", "in": "path", "required": True, "schema": STRING}
    token = {"name": "token_id", "in": "path", "required": True, "schema": STRING}
    bucket = {"name": "bucket_id", "in": "path", "required": True, "schema": NUMBER}
    by_name = {"name": "subdomain_fqdn", "in": "path", "required": True, "schema": STRING}
    paths = {
        "/api/v1/auth/api-keys": {
            "get": operation("getTokens", reply=envelope("api_keys", array(ref("api-key"))), tag="API keys"),
            "post": operation(
                "createToken", reply=envelope("api_key", ref("api-key")), requestBody=sent(ref("new-key")), tag="API keys"
            ),
        },
        "/api/v1/auth/api-keys/{token_id}": {
            "patch": operation("updateToken", parameters=[token], requestBody=sent(obj(name=STRING)), tag="API keys"),
            "put": operation("reissueToken", parameters=[token], requestBody=sent(obj(expire=STRING)), tag="API keys"),
            "delete": operation("deleteToken", parameters=[token], tag="API keys"),
        },
        "/api/v1/dbs": {
            "get": operation("getDatabases", reply=envelope("dbs", array(ref("db"))), tag="Databases", deprecated=True)
        },
        "/api/v1/domains/{fqdn}/subdomains/{subdomain_fqdn}": {
            "post": operation("addSubdomain", parameters=[fqdn, ref("name", "parameters")], tag="Domains"),
            "delete": operation("deleteSubdomain", parameters=[fqdn, subdomain], tag="Domains"),
        },
        "/api/v1/mail": {"get": operation("getMailboxes", reply=envelope("mailboxes", array(obj(fqdn=STRING))), tag="Mail")},
        "/api/v1/storages/buckets/{bucket_id}/object-manager/upload": {
            "post": operation(
                "uploadFileToStorage",
                parameters=[bucket],
                requestBody=sent(obj(files=array({**STRING, "format": "binary"})), "multipart/form-data"),
                tag="S3",
            )
        },
    }
    schemas = {
        "api-key": obj(id=STRING, expired_at={**STRING, "nullable": True}),
        "new-key": obj(name=STRING),
        "db": obj(id=NUMBER, password=STRING, config_parameters=ref("config-parameters")),
        "db-type": {**STRING, "enum": ["mysql", "postgres"]},
        "network": obj(id=STRING),
        "config-parameters": {"properties": {"auto_increment_offset": STRING}},  # an object that does not say so
    }
    document = contract(paths, schemas, parameters={"name": by_name})
    built = pipeline.run(distil(document), allow_unmatched=True)
    assert {built.names.given[place] for place in built.names.given if place.count("/") == 3 and "paths" in place} >= {
        "auth.api_keys.list",
        "auth.api_keys.create",
        "dbs.list",
        "domains.subdomains.create",  # the public names, although a placeholder is spelled otherwise today
        "domains.subdomains.delete",
        "mail.mailboxes.list_all_v1",  # stays what it is where the newer version does not exist
        "storages.buckets.object_manager.upload",
    }
    code = """
import inspect
client = Timeweb("token")
print(*inspect.signature(client.domains.subdomains.delete).parameters)
database = client.dbs.list.__globals__["Database"].model_validate({"id": 1, "password": "hidden", "config_parameters": {}})
print("hidden" in repr(database))
"""
    assert in_package(built, IMPORT_ALL + code).splitlines() == ["fqdn subdomain", "False"]
