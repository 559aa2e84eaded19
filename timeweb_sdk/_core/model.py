"""The base class of every object that the API returns."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, PydanticSerializationError, core_schema, from_json, to_json

from timeweb_sdk._core.secrets import mask, mask_extra_value, remember_extra_name, sealed, shown


class DecodeIssue(NamedTuple):
    """A place where a reply differs from the contract. The value itself is never part of it."""

    path: str
    """Where, from the object that reports it: `networks.0.ips`."""
    kind: str
    """What, as pydantic names it: `missing`, `int_parsing`, `datetime_from_date_parsing` …"""


_ISSUES = "_decode_issues"


class Model(BaseModel):
    """An object of the API. Unknown fields are kept and reachable as attributes; secrets are `SecretStr`, also there.

    What leaves the process by `repr`, JSON or pickle has stars in place of secrets, also of private keys and the like that
    stand in a text of another purpose. Attributes, copies and `model_dump()` keep them.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="allow",
        defer_build=True,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
        protected_namespaces=(),
    )

    if not TYPE_CHECKING:  # a type checker would take it for a field that every construction has to name
        # Costs only where unknown fields exist; a hook per model would cost on every one.
        __pydantic_extra__: dict[
            Annotated[str, AfterValidator(remember_extra_name)], Annotated[Any, AfterValidator(mask_extra_value)]
        ]

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__(**config)
        # Building is deferred: else pydantic would look for what an inherited annotation names in the subclass's module.
        for base in cls.__bases__:
            if issubclass(base, Model) and not base.__pydantic_fields_complete__:
                base.model_rebuild(raise_errors=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> CoreSchema:
        schema = handler(source)
        inner: dict[str, Any] = cast(dict[str, Any], schema)
        while "fields" not in inner and "schema" in inner:  # validators of the whole model stand around it
            if inner["type"] == "model":
                inner.setdefault("serialization", _SEALED)
            inner = inner["schema"]
        fields: dict[str, Any] = inner.get("fields", {})
        for name, field in fields.items():
            field["schema"] = _masking(name, field["schema"])
        return schema

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, shown(value, name or "")

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return state | {part: sealed(state[part]) for part in ("__dict__", "__pydantic_extra__")}

    @property
    def decode_issues(self) -> tuple[DecodeIssue, ...]:
        """Where this object, or one inside it, differs from the contract; empty for a reply that keeps it."""
        private = self.__pydantic_private__
        return cast(tuple[DecodeIssue, ...], private.get(_ISSUES, ())) if private else ()

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """As pydantic's; values that were kept although they differ from the contract are dumped as they are."""
        return super().model_dump(**self._without_complaint(options))

    def model_dump_json(self, **options: Any) -> str:
        """As pydantic's; values that were kept although they differ from the contract are dumped as they are."""
        return super().model_dump_json(**self._without_complaint(options))

    def _without_complaint(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"warnings": "none", **options} if self.__pydantic_private__ else options


_DUMPED = ("include", "exclude", "by_alias", "exclude_unset", "exclude_defaults", "exclude_none")


def _seal(model: Model, write: Callable[[Any], Any], info: Any) -> Any:
    try:
        return sealed(write(model))
    except PydanticSerializationError:  # pydantic before 2.14 cannot write a secret that is missing
        if not model.__pydantic_private__:
            raise
    dumped = BaseModel.model_dump(model, warnings="none", **{name: getattr(info, name) for name in _DUMPED})
    return from_json(to_json(sealed(dumped), fallback=str))


_SEALED = core_schema.wrap_serializer_function_ser_schema(_seal, info_arg=True, when_used="json")
_WRAPPERS = frozenset({"nullable", "default", "function-before", "function-after", "function-wrap"})


def no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _masking(name: str, schema: Any) -> Any:
    """Mask the secrets in what the contract leaves open: a field that is Any, or an object of any values."""
    inner = "schema" if schema["type"] in _WRAPPERS else "items_schema" if schema["type"] == "list" else None
    if inner is not None and inner in schema:
        return {**schema, inner: _masking(name, schema[inner])}
    if schema["type"] == "int":  # whole numbers are taken as they are, at once; to pydantic, true would be one of them too
        lax = core_schema.no_info_before_validator_function(no_bool, schema)
        strict: Any = {**schema, "strict": True}
        return core_schema.union_schema([strict, lax], mode="left_to_right")
    is_open = schema["type"] == "any" or (schema["type"] == "dict" and schema.get("values_schema", {}).get("type") == "any")
    return core_schema.no_info_after_validator_function(partial(mask, name), schema) if is_open else schema


def set_decode_issues(model: Model, issues: tuple[DecodeIssue, ...]) -> None:
    """Record the issues in the private state of the object, which pickle and copy carry along."""
    private = dict(model.__pydantic_private__ or {})
    private[_ISSUES] = issues
    object.__setattr__(model, "__pydantic_private__", private)
