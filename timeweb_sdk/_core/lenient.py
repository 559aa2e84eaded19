"""Decoding that never gives up: what fits is typed, what does not is kept as it came, and each such place is noted."""

from collections.abc import Iterable
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BeforeValidator, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk._core.model import DecodeIssue, Model, no_bool, set_decode_issues
from timeweb_sdk._core.secrets import mask


def plain(name: str) -> str:
    """Return the name without the differences in spelling that occur between contract and reality."""
    return name.replace("-", "_").lower()


@lru_cache(maxsize=4096)
def adapter_of(wanted: Any) -> TypeAdapter[Any]:
    return TypeAdapter(honest(wanted))


def honest(wanted: Any) -> Any:
    """Return the type without what pydantic takes to be the same: `true` is no whole number. Models see to theirs."""
    if wanted is int:
        return Annotated[int, BeforeValidator(no_bool)]
    if get_origin(wanted) is Annotated:
        inner, *rest = get_args(wanted)
        return Annotated[(honest(inner), *rest)]
    arguments = tuple(honest(each) for each in get_args(wanted))
    if get_origin(wanted) in (Union, UnionType):
        return Union[arguments]  # noqa: UP007 (of arms that are only known here)
    return get_origin(wanted)[arguments] if get_origin(wanted) in (list, dict) else wanted


def fits(wanted: Any, value: Any) -> bool:
    """Tell whether the value is of the shape of the type: a list for a list, an object with known fields for a model."""
    wanted = _bare(wanted)
    if _is_model(wanted):
        known = {plain(field.alias or name) for name, field in wanted.model_fields.items()}
        return is_object(value) and any(plain(key) in known for key in value)
    origin = get_origin(wanted) or wanted
    if origin in (Union, UnionType):
        return any(fits(arm, value) for arm in get_args(wanted))
    return origin is not Any and isinstance(origin, type) and isinstance(value, origin)


class Leniency:
    """One lenient decoding: the values on the way out, and the issues met."""

    def __init__(self) -> None:
        self._issues: list[DecodeIssue] = []

    def issues(self) -> tuple[DecodeIssue, ...]:
        return tuple(self._issues)

    def note(self, path: str, kind: str) -> None:
        self._issues.append(DecodeIssue(path, kind))

    def decode_odd(self, wanted: Any, value: Any) -> Any:
        """Decode a payload that is known not to fit as a whole."""
        if get_origin(wanted) is list and is_array(value):
            return self._decode_items(wanted, value, "", "")
        if get_origin(wanted) is list and fits(get_args(wanted)[0], value):
            self.note("", "list_type")
            return [self.decode(get_args(wanted)[0], value, "0")]
        return self.decode(wanted, value, "")

    def decode(self, wanted: Any, value: Any, path: str, name: str = "") -> Any:
        """Decode `value`, which came in the field `name`, as well as it can be done."""
        try:
            return adapter_of(wanted).validate_python(value)
        except ValidationError as error:
            return self._decode_parts(wanted, value, path, name, error)

    def _decode_parts(self, wanted: Any, value: Any, path: str, name: str, error: ValidationError) -> Any:
        wanted = _bare(wanted)
        if get_origin(wanted) in (Union, UnionType):
            wanted = _closest(wanted, value)
        if _is_model(wanted) and is_object(value):
            return self._decode_model(wanted, value, path)
        if get_origin(wanted) is list and is_object(value) and value and all(key.isdecimal() for key in value):
            self.note(path, "list_type")  # as PHP writes a list with gaps
            value = [value[key] for key in sorted(value, key=int)]
        if get_origin(wanted) is list and is_array(value):
            return self._decode_items(wanted, value, path, name)
        if get_origin(wanted) is dict and is_object(value):
            _, item = get_args(wanted)
            return {key: self.decode(item, one, _join(path, key), key) for key, one in value.items()}
        self.note(path, error.errors(include_url=False, include_context=False, include_input=False)[0]["type"])
        return _keep(wanted, value, name)

    def _decode_items(self, wanted: Any, value: list[Any], path: str, name: str) -> list[Any]:
        (item,) = get_args(wanted)
        fast = adapter_of(item).validator.validate_python
        items: list[Any] = []
        for number, one in enumerate(value):
            try:
                items.append(fast(one))
            except ValidationError as error:
                items.append(self._decode_parts(item, one, _join(path, number), name, error))
        return items

    def _decode_model(self, wanted: type[Model], value: dict[str, Any], path: str) -> Model:
        before = len(self._issues)
        wanted.model_rebuild()  # resolves annotations that name classes defined further down; does nothing a second time
        spelled = {plain(key): key for key in value}
        values: dict[str, Any] = {}
        known: dict[str, str] = {}
        for name, field in wanted.model_fields.items():
            alias = field.alias or name
            key = next((key for key in (alias, name, spelled.get(plain(alias))) if key in value), None)
            if key is not None:
                known[key] = name
                decoded = self.decode(_annotation(field), value[key], _join(path, name), name)
                values[name] = mask(name, decoded) if is_object(decoded) or is_array(decoded) else decoded
            elif field.is_required():
                self.note(_join(path, name), "missing")
                values[name] = None
        model = wanted.model_construct(set(known.values()), **values)
        extra = {key: mask(key, item) for key, item in value.items() if key not in known}
        object.__setattr__(model, "__pydantic_extra__", extra)
        start = len(path) + 1 if path else 0
        set_decode_issues(model, tuple(DecodeIssue(issue.path[start:], issue.kind) for issue in self._issues[before:]))
        return model


def replaced(value: Any, path: str = "") -> tuple[DecodeIssue, ...]:
    """Find the texts in which unreadable characters were replaced; each object that holds some is marked."""
    if isinstance(value, Model):
        found = _replaced_in([*value.__dict__.items(), *(value.__pydantic_extra__ or {}).items()], "")
        if found:
            set_decode_issues(value, (*value.decode_issues, *found))
        return tuple(DecodeIssue(_join(path, issue.path) if path else issue.path, issue.kind) for issue in found)
    if is_object(value) or is_array(value):
        return _replaced_in(value.items() if is_object(value) else enumerate(value), path)
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return (DecodeIssue(path, "string_unicode"),) if isinstance(text, str) and "\ufffd" in text else ()


def _replaced_in(items: Iterable[tuple[str | int, Any]], path: str) -> tuple[DecodeIssue, ...]:
    """Look at names, too: a number in place of one is never damaged."""
    return tuple(issue for name, item in items for part in (name, item) for issue in replaced(part, _join(path, name)))


def _bare(wanted: Any) -> Any:
    """Return the type without what is annotated to it."""
    while get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    return wanted


def _is_model(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, Model)


def _annotation(field: FieldInfo) -> Any:
    if not field.metadata:
        return field.annotation
    return Annotated[(field.annotation, *field.metadata)]


def _closest(union: Any, value: Any) -> Any:
    """Choose the arm of a union that a value was meant for: the model with most of its fields, a list, a mapping."""
    arms = [_bare(arm) for arm in get_args(union)]
    models = [arm for arm in arms if _is_model(arm)]
    if is_object(value) and models:
        keys = {plain(key) for key in value}
        return max(
            models, key=lambda model: len(keys & {plain(field.alias or name) for name, field in model.model_fields.items()})
        )
    container = list if is_array(value) else dict
    return next((arm for arm in arms if get_origin(arm) is container), union)


def _keep(wanted: Any, value: Any, name: str) -> Any:
    """Keep a value that fits nowhere, as it came, unless it is a secret."""
    arms = (wanted, *map(_bare, get_args(wanted)))
    if value is not None and SecretStr in arms:
        return SecretStr(value if isinstance(value, str) else to_json(value).decode())
    kept = mask(name, value)
    # The serialiser of a model takes any object apart, so that a SecretStr in its place would be revealed.
    return str(kept) if isinstance(kept, SecretStr) and any(map(_is_model, arms)) else kept


def _join(path: str, part: str | int) -> str:
    return f"{path}.{part}" if path else str(part)
