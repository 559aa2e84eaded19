"""The contract cannot take a name that the generated modules, the client or a public method already have."""

from __future__ import annotations

from typing import Any

import pytest

from codegen.errors import CodegenError
from codegen.names import Names
from codegen.namespace import taken
from codegen.resources import empty_module
from codegen.tree import Json
from tests.codegen.conftest import Import, Run
from tests.codegen.contracts import STRING, contract, envelope, obj, operation

CLASSES = ["Model", "Any", "Literal", "Decimal", "SecretStr", "Resource", "Waits", "AsyncPage", "NotGiven", "ValueError"]
ARGUMENTS = ["self", "str", "bytes", "dict", "builtins", "hidden"]
ATTRIBUTES = [
    *("close", "request", "with_options", "wait_for", "with_response", "wait_for_many", "aclose"),
    *("base_url", "create_once", "delete_planned", "from_profile", "plan_deletion", "quote"),
    *("token_fingerprint", "token_source", "total_timeout"),
]


def test_the_names_are_found_in_the_modules_themselves() -> None:
    found = taken(empty_module())
    assert found.classes >= set(CLASSES)
    assert found.arguments >= set(ARGUMENTS)
    assert found.attributes == set(ATTRIBUTES)
    assert not {"id", "type", "hash", "name", "limit"} & found.arguments, "these hide nothing that a method reads"


def test_components_called_like_classes_of_the_modules(run: Run, in_package: Import) -> None:
    whole = obj(**{f"field-{name}": {"$ref": f"#/components/schemas/{name}"} for name in CLASSES})
    schemas = {name: obj(id=STRING, **{f"of{name}": STRING}) for name in CLASSES}
    document = contract({"/api/v1/things/{id}": {"get": operation("getThing", reply=envelope("thing", whole))}}, schemas)
    built = run(document)
    given = {name: built.names.given[f"/components/schemas/{name}"] for name in CLASSES}
    assert not {*given.values()} & {*CLASSES}
    code = f"import timeweb_sdk.models as m; print([[*getattr(m, name).model_fields][1] for name in {[*given.values()]}])"
    fields = in_package(built, code)
    assert fields.count("of_") == len(CLASSES), fields


def test_a_locked_name_is_checked_too(run: Run) -> None:
    document = contract(
        {"/api/v1/things/{id}": {"get": operation("getThing", reply=envelope("thing", obj(id=STRING, a=STRING)))}}
    )
    place = "/paths/~1api~1v1~1things~1{id}/get/responses/200/content/application~1json/schema/properties/thing"
    with pytest.raises(CodegenError, match="the generated modules have a 'Model' already"):
        run(document, {place: "Model"})


def test_arguments_called_like_something_that_a_method_reads(run: Run, in_package: Import) -> None:
    parameters = [{"name": name, "in": "query", "schema": STRING} for name in ARGUMENTS]
    reply = envelope("names", {"type": "array", "items": STRING})
    document = contract({"/api/v1/things": {"get": operation("getThings", reply=reply, parameters=parameters)}})
    code = f"""
import httpx
from timeweb_sdk import Timeweb
def answer(request):
    print(request.url.query.decode())
    return httpx.Response(200, json={{"names": ["a"]}})
with Timeweb("t", http_client=httpx.Client(transport=httpx.MockTransport(answer))) as tw:
    print(*tw.things.list({", ".join(f"{name}_='x'" for name in ARGUMENTS)}))
"""
    assert in_package(run(document), code).split() == ["&".join(f"{name}=x" for name in ARGUMENTS), "a"]


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("path", ["/api/v1/{name}", "/api/v1/things/{{id}}/{name}"], ids=["resource", "action"])
def test_a_path_called_like_a_member_of_the_client(run: Run, name: str, path: str) -> None:
    document = contract(
        {
            path.format(name=name): {"post": operation("doIt", reply=obj(a=STRING))},
            "/api/v1/things": {"get": operation("getThings", reply=obj(a=STRING))},
        }
    )
    attribute = next(found.attribute for found in run(document).operations if found.id == "doIt")
    assert f"{name}_" in attribute.split(".")


def test_a_method_does_not_stand_where_a_resource_has_to(run: Run) -> None:
    document = contract(
        {
            "/api/v1/apps/{id}/deploy": {"post": operation("startDeploy", reply=obj(a=STRING))},
            "/api/v1/apps/{id}/deploy/{deploy_id}/logs": {"get": operation("getLogs", reply=obj(b=STRING))},
        }
    )
    built = run(document)
    assert {found.attribute for found in built.operations} == {"apps.deploy.create", "apps.deploy.logs.get"}
    place = "/paths/~1api~1v1~1apps~1{id}~1deploy/post"
    with pytest.raises(CodegenError, match=r"'apps\.deploy' is a resource too"):
        run(document, {place: "apps.deploy"})


# -- versions and moves ---------------------------------------------------------------------------------------------------


def agents(*versions: int) -> Json:
    return contract(
        {
            f"/api/v{version}/agents": {"post": operation(f"createV{version}", deprecated=version == 1, reply=obj(a=STRING))}
            for version in versions
        }
    )


def test_a_new_version_never_takes_a_public_name(run: Run) -> None:
    public = run(agents(1)).names.given
    later = run(agents(1, 2, 3), public)
    assert {found.id: found.attribute for found in later.operations} == {
        "createV1": "agents.create",
        "createV2": "agents.create_v2",
        "createV3": "agents.create_v3",
    }
    assert {name for name in later.names.new.values() if "." in name} == {"agents.create_v2", "agents.create_v3"}
    assert run(agents(1, 2, 3), later.names.given).names.new == {}


def test_among_new_ones_the_newest_takes_the_plain_name(run: Run) -> None:
    assert {found.id: found.attribute for found in run(agents(1, 2)).operations} == {
        "createV1": "agents.create_v1",
        "createV2": "agents.create",
    }


def test_a_person_may_decide_otherwise(run: Run) -> None:
    chosen = {"/paths/~1api~1v1~1agents/post": "agents.create_old", "/paths/~1api~1v2~1agents/post": "agents.create"}
    assert {found.attribute for found in run(agents(1, 2), chosen).operations} == {"agents.create_old", "agents.create"}


def test_an_operation_whose_placeholder_is_spelled_anew_keeps_its_names(run: Run) -> None:
    def document(placeholder: str) -> Json:
        path = f"/api/v1/domains/{{fqdn}}/subdomains/{{{placeholder}}}"
        return contract({path: {"delete": operation("deleteSubdomain")}})

    before = run(
        document("subdomain_fqdn"), {"/paths/~1api~1v1~1domains~1{fqdn}~1subdomains~1{subdomain_fqdn}/delete": "d.drop"}
    )
    (after,) = run(document("subdomain"), before.names.given).operations
    assert after.attribute == "d.drop"
    assert [(argument.wire, argument.name) for argument in after.path_arguments] == [
        ("fqdn", "fqdn"),
        ("subdomain", "subdomain_fqdn"),
    ]


# -- colliding arguments --------------------------------------------------------------------------------------------------


def posting(*fields: str, query: tuple[str, ...] = (), path: str = "/api/v1/things") -> Json:
    request = {"content": {"application/json": {"schema": obj(**dict.fromkeys(fields, STRING))}}}
    parameters: list[Any] = [{"name": name, "in": "query", "schema": STRING} for name in query]
    return contract({path: {"post": operation("createThing", requestBody=request, parameters=parameters)}})


@pytest.mark.parametrize(
    ("document", "both"),
    [
        (posting("a-b", "a_b"), "body 'a-b' and body 'a_b'"),
        (posting("aB", "a_b"), "body 'aB' and body 'a_b'"),
        (posting(query=("a-b", "aB")), "query 'a-b' and query 'aB'"),
        (posting(query=("a", "a[]")), "query 'a' and query 'a[]'"),
        (posting(path="/api/v1/things/{a-b}/{a_b}"), "path 'a-b' and path 'a_b'"),
        (posting(path="/api/v1/things/{a}", query=("a",)), "path 'a' and query 'a'"),
    ],
)
def test_two_names_of_the_wire_do_not_become_one(run: Run, document: Json, both: str) -> None:
    with pytest.raises(CodegenError, match=rf"^/paths/.*/post: {both.replace('[', '.').replace(']', '.')} would both be"):
        run(document)


def test_a_name_in_the_lock_tells_them_apart(run: Run) -> None:
    place = "/paths/~1api~1v1~1things/post/requestBody/aB"
    (found,) = run(posting("aB", "a_b"), {place: "a_upper_b"}).operations
    assert {argument.wire: argument.name for argument in found.bodies[0]} == {"aB": "a_upper_b", "a_b": "a_b"}


def test_a_name_without_a_letter_needs_one_in_the_lock(run: Run) -> None:
    with pytest.raises(CodegenError, match="'имя' has no letter to make a name of"):
        run(posting("имя"))
    (found,) = run(posting("имя"), {"/paths/~1api~1v1~1things/post/requestBody/имя": "title"}).operations
    assert found.bodies[0][0].name == "title"


def test_a_class_and_the_dictionary_of_another_are_not_one() -> None:
    names = Names()
    assert names.class_name("/components/schemas/thing", "Thing") == "Thing"
    assert names.class_name("/components/schemas/thing-params", "ThingParams") != "ThingParams"
