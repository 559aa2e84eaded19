"""Step 5: run datamodel-code-generator over the named classes: pydantic models and the TypedDicts that bodies accept.

The schemas reach it in plain form (see :mod:`codegen.normalise`), so it neither names nor merges anything. Classes are spread
over one module per tag, so that importing servers does not pay for Kubernetes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from datamodel_code_generator import generate
from datamodel_code_generator.config import GenerateConfig
from datamodel_code_generator.enums import DataModelType, InputFileType, OpenAPIScope
from datamodel_code_generator.format import DateClassType, DatetimeClassType, Formatter, PythonVersion
from datamodel_code_generator.parser import LiteralType

from codegen.normalise import ModelClass, closure, referenced
from codegen.operations import Operation
from codegen.tree import Json

SHARED = "shared"
BASE_CLASS = "timeweb_sdk._core.model.Model"


def modules(classes: dict[str, ModelClass], operations: list[Operation]) -> dict[str, str]:
    """Assign each class to a module: the only tag using it, else the one whose own collection it is, else ``shared``.

    What two tags return alike belongs to neither: who touches servers must not load the models of Kubernetes.
    """
    users: dict[str, set[str]] = defaultdict(set)
    collections: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for operation in operations:
        schemas = [argument.schema for argument in operation.all_arguments]
        schemas += [schema for schema in (operation.returns, operation.whole_body) if schema]
        for name in closure(schemas, classes):
            users[name].add(operation.tag)
        direct = next(iter(referenced(operation.returns)), None) if operation.returns else None
        if direct and "{" not in operation.path:
            collections[direct].add((operation.path.count("/"), operation.tag))
    result: dict[str, str] = {}
    for name in classes:
        if len(users[name]) == 1:
            result[name] = next(iter(users[name]))
        else:
            shortest = min(collections[name], default=(0, ""))[0]
            nearest = [tag for depth, tag in collections[name] if depth == shortest]
            result[name] = nearest[0] if len(nearest) == 1 else SHARED
    for name in classes:  # parts of an owned class live with it
        if result[name] == SHARED:
            owners = {result[other] for other in classes if name in set(referenced(classes[other].schema))} - {SHARED}
            if len(owners) == 1:
                result[name] = owners.pop()
    _break_cycles(result, classes)
    return result


def _break_cycles(assigned: dict[str, str], classes: dict[str, ModelClass]) -> None:
    """Move classes to ``shared`` until ``shared`` needs no tag and no two tags need each other."""
    changed = True
    while changed:
        changed = False
        edges: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, model in classes.items():
            for used in referenced(model.schema):
                if assigned[used] != assigned[name]:
                    edges[assigned[name], assigned[used]].append(used)
        for (source, target), needed in edges.items():
            if source == SHARED or ((target, source) in edges and source < target):
                assigned.update(dict.fromkeys(needed, SHARED))
                changed = True


def request_classes(classes: dict[str, ModelClass], operations: list[Operation]) -> set[str]:
    """The classes that bodies and parameters can hold."""
    schemas = [argument.schema for operation in operations for argument in operation.all_arguments]
    return closure(schemas + [operation.whole_body for operation in operations if operation.whole_body], classes)


def generate_models(classes: dict[str, ModelClass], assigned: dict[str, str], header: str) -> dict[str, str]:
    """Return ``file name -> source`` of the pydantic models."""
    document = _document(classes, assigned, suffix="", lean=False)
    return _run(document, DataModelType.PydanticV2BaseModel, header)


def generate_params(classes: dict[str, ModelClass], assigned: dict[str, str], names: set[str], header: str) -> dict[str, str]:
    """Return ``file name -> source`` of the TypedDicts: ``<class>Params`` for each class that a body can hold."""
    chosen = {name: model for name, model in classes.items() if name in names}
    document = _document(chosen, {name: assigned[name] for name in chosen}, suffix="Params", lean=True)
    return _run(document, DataModelType.TypingTypedDict, header)


def _document(classes: dict[str, ModelClass], assigned: dict[str, str], *, suffix: str, lean: bool) -> Json:
    schemas: Json = {}
    for name in sorted(classes):
        model = classes[name]
        schema = _for_generator(model.schema, assigned, suffix, lean=lean)
        if model.description:
            schema["description"] = model.description
        schemas[f"{assigned[name]}.{name}{suffix}"] = schema
    return {"openapi": "3.0.3", "info": {"title": "", "version": ""}, "paths": {}, "components": {"schemas": schemas}}


def _for_generator(node: Any, assigned: dict[str, str], suffix: str, *, lean: bool) -> Any:
    """Spell a plain schema in OpenAPI again: references by module, open enums, nullable references."""
    if not isinstance(node, dict):
        return node

    def again(child: Any) -> Any:
        return _for_generator(child, assigned, suffix, lean=lean)

    if "$ref" in node:
        ref = {"$ref": f"#/components/schemas/{assigned[node['$ref']]}.{node['$ref']}{suffix}"}
        extra = {key: value for key, value in node.items() if key in {"nullable", "description"}}
        return {"allOf": [ref], **extra} if extra else ref
    result = {key: value for key, value in node.items() if key not in {"deprecated", "default"}}
    if "properties" in result:
        result["properties"] = {name: again(child) for name, child in result["properties"].items()}
    if "anyOf" in result:
        result["anyOf"] = [again(child) for child in result["anyOf"]]
    for key in ("items", "additionalProperties"):
        if key in result:
            result[key] = again(result[key])
    if lean and result.get("format") == "password":  # a caller may write the secret as a plain string
        result.pop("type")
        result.pop("format")
        result = {"anyOf": [{"customTypePath": "pydantic.SecretStr"}, {"type": "string"}], **result}
    if "enum" in result:
        closed = {"type": "string", "enum": result.pop("enum")}
        result.pop("type")
        result = {**closed, **result} if result.pop("closed", False) else {"anyOf": [closed, {"type": "string"}], **result}
    return result


def _run(document: Json, model_type: DataModelType, header: str) -> dict[str, str]:
    if not document["components"]["schemas"]:
        return {}
    config = GenerateConfig(
        input_file_type=InputFileType.OpenAPI,
        openapi_scopes=[OpenAPIScope.Schemas],
        output_model_type=model_type,
        target_python_version=PythonVersion.PY_311,
        base_class=BASE_CLASS if model_type is DataModelType.PydanticV2BaseModel else "",
        custom_file_header=header,
        disable_timestamp=True,
        enum_field_as_literal=LiteralType.All,
        formatters=[Formatter.BUILTIN],
        output_datetime_class=DatetimeClassType.Datetime,
        output_date_class=DateClassType.Date,
        snake_case_field=model_type is DataModelType.PydanticV2BaseModel,
        allow_population_by_field_name=False,
        strict_nullable=True,
        treat_dot_as_module=True,
        use_attribute_docstrings=False,
        use_double_quotes=True,
        use_field_description=True,
        use_inline_field_description=True,
        use_schema_description=True,
        use_single_line_docstring=True,
        use_standard_collections=True,
        use_union_operator=True,
        disable_appending_item_suffix=True,
        keep_model_order=False,
    )
    generated = generate(document, config=config)
    if not isinstance(generated, dict):
        raise TypeError("datamodel-code-generator returned one module where a package was expected")
    return {"/".join(path): str(source) for path, source in generated.items()}
