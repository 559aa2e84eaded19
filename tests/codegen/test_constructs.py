"""Every construct of OpenAPI is either understood or refused by its pointer: none compiles to wrong code in silence."""

from __future__ import annotations

import json
import random
import re
import tracemalloc
from typing import Any

import pytest

from codegen.distil import distil
from codegen.errors import CodegenError
from codegen.tree import Json
from tests.codegen.conftest import Import, Run
from tests.codegen.contracts import NUMBER, STRING, contract, envelope, obj, operation

THINGS = "/api/v1/things"
FILE: Json = {"type": "string", "format": "binary"}


def body(schema: Json, media: str = "application/json") -> Json:
    return {"content": {media: {"schema": schema}}}


def get(reply: Json | None = None, **more: Any) -> Json:
    return contract({THINGS: {"get": operation("getThings", reply=reply or obj(id=STRING, a=STRING), **more)}})


def post(request: Json, **more: Any) -> Json:
    return contract({THINGS: {"post": operation("createThing", requestBody=request)}}, **more)


def query(**parameter: Any) -> Json:
    return get(parameters=[{"name": "q", "in": "query", "schema": STRING, **parameter}])


def answering(responses: Json) -> Json:
    return contract({THINGS: {"get": {**operation("getThings"), "responses": responses}}})


def reply(schema: Json | None, media: str = "application/json") -> Json:
    return {"description": "", "content": {media: {"schema": schema}}} if schema else {"description": ""}


A, B = obj(a=STRING), obj(b=STRING)
VARIANTS = [obj(kind={"type": "string", "enum": ["x"]}), obj(kind={"type": "string", "enum": ["x"]})]

REFUSED = {
    "properties beside oneOf": (get({**A, "oneOf": [B]}), "/schema: properties beside oneOf"),
    "properties beside oneOf in a body": (post(body({**A, "oneOf": [B]})), "/schema: properties beside oneOf"),
    "allOf beside oneOf": (post(body({"allOf": [A], "oneOf": [B]})), "/schema: allOf beside oneOf"),
    "allOf beside anyOf": (get({"allOf": [A], "anyOf": [B]}), "/schema: allOf beside anyOf"),
    "properties beside values of any name": (get({**A, "additionalProperties": STRING}), "properties beside additionalP"),
    "properties named by a pattern": (get({"patternProperties": {"^x": STRING}}), "/patternProperties: "),
    "parts of different types": (get({"allOf": [A, STRING]}), "/allOf: nothing is both object and string"),
    "parts that disagree": (get({"allOf": [A, obj(a=NUMBER)]}), "/allOf: the parts disagree about the type of 'a'"),
    "an array in the path": (
        contract({"/api/v1/things/{ids}": {"get": operation(
            "getThings", parameters=[{"name": "ids", "in": "path", "schema": {"type": "array", "items": STRING}}])}}),
        "/parameters/0: an array cannot be a path parameter",
    ),
    "an object in the query": (query(schema=A), "/parameters/0: an object cannot be a query parameter"),
    "another style": (query(style="pipeDelimited"), "/style: the style 'pipeDelimited'"),
    "a list that is joined": (query(schema={"type": "array", "items": STRING}, explode=False), "/explode: "),
    "reserved characters": (query(allowReserved=True), "/allowReserved: "),
    "a parameter with a media type": (
        get(parameters=[{"name": "q", "in": "query", "content": {"application/json": {"schema": A}}}]),
        "/parameters/0/content: a parameter needs a schema",
    ),
    "a required header": (
        get(parameters=[{"name": "X-Trace", "in": "header", "required": True, "schema": STRING}]),
        "/parameters/0: the header 'X-Trace' is required",
    ),
    "a required cookie": (
        get(parameters=[{"name": "session", "in": "cookie", "required": True, "schema": STRING}]), "the cookie 'session'",
    ),
    "a form": (post(body(A, "application/x-www-form-urlencoded")), "urlencoded: a body can be sent as"),
    "a body of another kind of JSON": (post(body(A, "application/merge-patch+json")), "a body can be sent as"),
    "two kinds of bodies": (
        post({"content": {"multipart/form-data": {"schema": obj(f=FILE)}, "application/octet-stream": {"schema": FILE}}}),
        "/content: one of application/octet-stream, multipart/form-data has to be chosen",
    ),
    "an object in a form": (post(body(obj(f=FILE, o=A), "multipart/form-data")), "/properties/o: a field of a form is"),
    "a form without a file": (post(body(obj(a=STRING), "multipart/form-data")), "a form without a file"),
    "a body that is an object or a text": (post(body({"oneOf": [A, STRING]})), "/oneOf: variants of a body"),
    "only a default reply": (answering({"default": reply(A)}), "/responses: no reply of a success"),
    "only errors": (answering({"400": reply(A)}), "/responses: no reply of a success"),
    "two different bodies": (answering({"200": reply(A), "201": reply(B)}), "/responses: the replies 200, 201 have different"),
    "a body or none": (answering({"200": reply(A), "204": reply(None)}), "/responses/204: the reply 200 has a body and 204"),
    "a discriminator without values": (
        get({"oneOf": [A, B], "discriminator": {"propertyName": "kind"}}), "/discriminator: each variant needs a value",
    ),
    "a discriminator that tells nothing apart": (
        get({"oneOf": VARIANTS, "discriminator": {"propertyName": "kind"}}), "/discriminator: each variant needs a value",
    ),
    "a method without a call": (contract({THINGS: {"head": operation("headThings")}}), "/head: no method of the client"),
    "a path of placeholders": (contract({"/api/v1/{id}": {"get": operation("getIt", reply=A)}}), "names no resource"),
    "a placeholder twice": (contract({"/api/v1/a/{id}/{id}": {"get": operation("getIt")}}), "/get: a placeholder stands in"),
    "types beside items": (get({"type": ["array", "string"], "items": STRING}), "/type: the types array, string beside"),
    "an unknown type": (get(obj(a={"type": "tuple"})), "/properties/a/type: unknown type 'tuple'"),
    "an empty schema that fits nothing": (get({"items": False}), "/items: must be an object, not boolean"),
    "null for a section": ({**get(), "components": None}, "/components: must be an object, not null"),
    "null for the paths": ({**get(), "paths": None}, "/paths: must be an object, not null"),
    "null for parameters": (get(parameters=None), "/parameters: must be an array, not null"),
    "half of a surrogate pair": (get(obj(a={"type": "string", "enum": ["\ud800"]})), "/enum/0: holds half of a surrogate pair"),
    "half of a pair in a name": (get(obj(**{"\udc00": STRING})), "holds half of a surrogate pair"),
    "an enum of objects": (get(obj(a={"type": "string", "enum": [{}]})), "/enum/0: must not be an object"),
    "an object as a constant": (get(obj(a={"const": {}})), "/properties/a/const: must not be an object"),
    "allOf of itself": (
        contract({}, {"thing": {"allOf": [{"$ref": "#/components/schemas/thing"}]}}), "leads back to itself",
    ),
    "an array of itself": (
        contract({}, {"thing": {"type": "array", "items": {"$ref": "#/components/schemas/thing"}}}), "leads back to itself",
    ),
    "a circle of two": (
        contract({}, {name: {"oneOf": [{"$ref": f"#/components/schemas/{other}"}]} for name, other in ("ab", "ba")}),
        "leads back to itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("construct", REFUSED)
def test_refused_by_its_pointer(run: Run, construct: str) -> None:
    document, problem = REFUSED[construct]
    with pytest.raises(CodegenError, match=f"(?m)^/?.*{re.escape(problem)}"):
        run(document)


def test_all_problems_of_a_run_are_one_list(run: Run) -> None:
    paths = {
        f"/api/v1/{name}": {"get": operation(f"get{name}", reply=schema)}
        for name, schema in {"one": {**A, "oneOf": [B]}, "two": {"allOf": [A, STRING]}, "three": obj(a={"type": "odd"})}.items()
    }
    with pytest.raises(CodegenError) as caught:
        run(contract(paths))
    assert sorted(line.split("/")[2].split("~1")[-1] for line in str(caught.value).splitlines()) == ["one", "three", "two"]
    with pytest.raises(CodegenError) as caught:
        distil(contract({}, {"a": {"not": {}}, "b": {"if": {}}, "c": None}))
    assert len(str(caught.value).splitlines()) == 3


def only_model(source: str) -> str:
    return source.split("class ", 1)[1]


@pytest.mark.parametrize(
    ("schema", "spelling"),
    [
        ({"type": ["string", "null"]}, "a: str | None = None"),
        ({"type": ["string", "integer"]}, "a: str | int | None = None"),
        ({"type": ["array", "null"], "items": STRING}, "a: list[str] | None = None"),
        ({"oneOf": [STRING, {"type": "null"}]}, "a: str | None = None"),
        ({"const": "x"}, 'a: Literal["x"] | str | None = None'),
        ({"const": 3}, "a: int | None = None"),
        ({"type": "true"}, "a: bool | None = None"),
        (True, "a: Any | None = None"),
        ({"type": "array", "items": True}, "a: list[Any] | None = None"),
        ({"type": "integer", "enum": [1, 2]}, "a: int | None = None"),
        ({"type": "string", "required": True}, "a: str | None = None"),
    ],
    ids=repr,
)
def test_spellings_of_other_versions(run: Run, schema: Any, spelling: str) -> None:
    built = run(get(envelope("thing", {"type": "object", "properties": {"id": STRING, "a": schema, "z": STRING}})))
    assert spelling in only_model(built.files["models/things.py"])


def test_an_enum_beside_the_schema_of_a_parameter(run: Run) -> None:
    """As the vendor wrote it in March 2023."""
    document = query(schema={"type": "string"}, enum=["asc", "desc"])
    (found,) = run(document).operations
    assert found.query_arguments[0].schema == {"type": "string", "enum": ["asc", "desc"]}


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.things+json"])
def test_json_by_another_name_is_decoded(run: Run, media: str) -> None:
    (found,) = run(answering({"200": reply(envelope("thing", obj(id=STRING)), media)})).operations
    assert (found.content, found.data_key) == ("json", "thing")


def test_json_is_chosen_among_several(run: Run) -> None:
    content = {"application/xml": {"schema": STRING}, "application/json": {"schema": A}}
    document = contract({THINGS: {"post": {**operation("createThing", requestBody={"content": content})}}})
    document["paths"][THINGS]["post"]["responses"] = {"200": {"content": content}, "201": {"content": content}}
    (found,) = run(document).operations
    assert (found.body, found.content) == ("json", "json")


def test_a_form_sends_files_as_files_and_values_as_values(run: Run, in_package: Import) -> None:
    form = obj(upload=FILE, more={"type": "array", "items": FILE}, title=STRING, count={"type": "integer"})
    built = run(post(body(form, "multipart/form-data")))
    code = """
import httpx
from timeweb_sdk import Timeweb
def answer(request):
    print(request.read().decode().replace("\\r", ""), request.headers["content-type"][:19])
    return httpx.Response(204)
with Timeweb("t", http_client=httpx.Client(transport=httpx.MockTransport(answer))) as tw:
    tw.things.create(upload=b"1", more=[b"2"], title="a", count=3)
"""
    sent = in_package(built, code)
    assert sent.endswith("multipart/form-data")
    assert sent.count("filename=") == 2
    assert 'name="title"\n\na' in sent
    assert 'name="count"\n\n3' in sent


def test_a_discriminator_decodes_the_variant_it_names(run: Run, in_package: Import) -> None:
    one, two = (obj(id=STRING, kind={"type": "string", "enum": [kind]}, a=STRING) for kind in ("one", "two"))
    schemas = {"one": one, "two": two}
    union: Json = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in schemas]}
    items = union | {"discriminator": {"propertyName": "kind", "mapping": {"one": "x", "two": "y"}}}
    document = contract(
        {THINGS: {"get": operation("getThings", reply=envelope("things", {"type": "array", "items": items}))}}, schemas
    )
    code = """
import httpx
from timeweb_sdk import Timeweb
reply = {"things": [{"id": "1", "kind": kind, "a": "b"} for kind in ("two", "one", "three")]}
transport = httpx.MockTransport(lambda request: httpx.Response(200, json=reply))
with Timeweb("t", http_client=httpx.Client(transport=transport)) as tw:
    print(*(type(thing).__name__ for thing in tw.things.list().items[:2]))
"""
    assert in_package(run(document), code) == "Two One"


def test_a_body_that_holds_itself(run: Run, in_package: Import) -> None:
    node = obj(name=STRING, children={"type": "array", "items": {"$ref": "#/components/schemas/node"}})
    document = post(body({"$ref": "#/components/schemas/node"}))
    document["components"]["schemas"]["node"] = node
    code = """
from timeweb_sdk.models import Node
print(Node.model_validate({"name": "a", "children": [{"name": "b", "children": []}]}).children[0].name)
"""
    assert in_package(run(document), code) == "b"


def test_a_reference_that_may_be_null_is_optional_and_nullable(run: Run, in_package: Import) -> None:
    """Both sides: a component that is nullable itself, and a nullable use of one that is not."""
    schemas = {"kind": {"type": "string", "nullable": True}, "part": obj(id=STRING)}
    nullable = {"nullable": True, "allOf": [{"$ref": "#/components/schemas/part"}]}
    whole = obj(
        kind={"$ref": "#/components/schemas/kind"}, maybe=nullable, part={"$ref": "#/components/schemas/part"}, z=STRING
    )
    document = contract({"/api/v1/wholes": {"get": operation("getWhole", reply=envelope("whole", whole))}}, schemas)
    built = run(document)
    code = """
from pydantic import ValidationError
from timeweb_sdk.models import Whole
wire = {"kind": None, "maybe": None, "part": {"id": "1"}, "z": "z"}
print(Whole.model_validate(wire).maybe)
for key in ("part", "z"):
    try:
        Whole.model_validate({**wire, key: None})
    except ValidationError as error:
        print(key, error.errors()[0]["type"])
"""
    assert in_package(built, code).split() == ["None", "part", "model_type", "z", "string_type"]


# -- no document breaks the pipeline --------------------------------------------------------------------------------------


def test_doubled_parts_end_with_a_message_and_little_memory() -> None:
    """3 KB that stand for 2**60 schemas."""
    schemas: Json = {f"s{i}": {"allOf": [{"$ref": f"#/components/schemas/s{i + 1}"}] * 2} for i in range(60)}
    document = contract({}, {**schemas, "s60": obj(a=STRING)})
    assert len(json.dumps(document)) < 8_000
    tracemalloc.start()
    try:
        with pytest.raises(CodegenError, match="more than 200,000 parts when every reference is written out"):
            distil(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_few_doubled_parts_are_merged(run: Run) -> None:
    schemas: Json = {f"s{i}": {"allOf": [{"$ref": f"#/components/schemas/s{i + 1}"}] * 2} for i in range(8)}
    document = contract(
        {THINGS: {"get": operation("getThing", reply={"$ref": "#/components/schemas/s0"})}}, {**schemas, "s8": obj(a=STRING)}
    )
    assert "a: str" in run(document).files["models/things.py"]


RICH: Json = contract(
    {
        "/api/v1/things/{thing_id}": {
            "parameters": [{"name": "thing_id", "in": "path", "required": True, "schema": NUMBER}],
            "get": operation("getThing", reply=envelope("thing", {"$ref": "#/components/schemas/thing"})),
            "patch": operation("updateThing", requestBody=body({"$ref": "#/components/schemas/thing"}), reply=obj(a=STRING)),
        },
        THINGS: {
            "get": operation("getThings", parameters=[{"name": "limit", "in": "query", "schema": NUMBER}]),
            "post": operation("createThing", requestBody=body({"oneOf": [A, B]})),
        },
    },
    {
        "thing": {"allOf": [A, {"$ref": "#/components/schemas/other"}]},
        "other": obj(kind={"type": "string", "enum": ["a", None]}, list={"type": "array", "items": obj(x=NUMBER)}),
    },
)
JUNK: list[Any] = [None, True, False, 0, -1.5, "", "x", "#/components/schemas/thing", [], [None], {}, {"": {}}, {"$ref": 1},
                   {"type": []}, {"type": [1]}, {"oneOf": {}}, {"allOf": [None]}, {"required": 1}, {"enum": None}, ["a", 1],
                   {"\n": STRING}, {"$ref": "#/components/schemas/thing"}, {"properties": {"a": True}}]  # fmt: skip


def nodes(node: Any) -> list[tuple[Any, Any]]:
    entries = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    return [(node, key) for key, _ in entries] + [found for _, child in entries for found in nodes(child)]


@pytest.mark.parametrize("seed", range(8))
def test_no_document_ends_in_a_traceback(run: Run, seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(40):
        document = json.loads(json.dumps(RICH))
        for _ in range(chosen.randint(1, 3)):
            container, key = chosen.choice(nodes(document))
            container[key] = json.loads(json.dumps(chosen.choice(JUNK)))
        try:
            built = run(document)
        except CodegenError:
            continue
        for name, source in built.files.items():
            if name.endswith(".py"):
                compile(source, name, "exec")
