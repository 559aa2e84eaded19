"""One thing that pydantic lets one do with a model, done to every public model of a process that has touched none before.

`python -m tests.sdk.fresh_models USE` prints a line for each model that it does not work with.
"""

import copy
import pickle
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

T = TypeVar("T")


def rejects(model: type[BaseModel], value: object) -> bool:
    """Tell whether the model validates at all, by what it cannot take."""
    try:
        model.model_validate(value)
    except ValidationError:
        return True
    return False


def subclass(model: Any) -> None:
    class Mine(model):  # type: ignore[misc]
        crm_id: int

    assert rejects(Mine, {"crm_id": "none"})
    assert set(model.model_fields) < set(Mine.model_fields)


def subclass_beside_a_foreign_base(model: Any) -> None:
    class Marked(BaseModel):
        crm_id: int

    class Mine(Marked, model):  # type: ignore[misc]
        pass

    class Further(Mine):
        note: str = ""

    assert rejects(Further, {"crm_id": "none"})


def embed(model: Any) -> None:
    class Row(BaseModel):
        one: model
        several: list[model] | None = None

    assert rejects(Row, {"one": 5})


def generic(model: Any) -> None:
    class Box(BaseModel, Generic[T]):
        content: T

    class Labelled(model, Generic[T]):  # type: ignore[misc]
        label: T

    assert rejects(Box[model], {"content": 5})
    assert rejects(Labelled[int], {"label": "none"})


def created(model: Any) -> None:
    assert rejects(create_model("Child", __base__=model, crm_id=(int, ...)), {"crm_id": "none"})
    assert rejects(create_model("Holder", held=(model, ...)), {"held": 5})


def adapted(model: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(dict[str, model | None])
    assert adapter.validate_python({"none": None}) == {"none": None}
    adapter.json_schema()


def described(model: Any) -> None:
    assert not any(isinstance(field.annotation, str) or "ForwardRef" in repr(field) for field in model.model_fields.values())
    model.model_json_schema()


def carried(model: Any) -> None:
    assert pickle.loads(pickle.dumps(model)) is model
    assert copy.deepcopy(model) is model
    made = model.model_construct()
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made.model_copy() == made


def served(model: Any) -> None:
    from fastapi import FastAPI

    def take(body: Any) -> Any:
        return body

    take.__annotations__ = {"body": model, "return": list[model]}
    FastAPI().post("/", response_model=list[model])(take)


USES: dict[str, Callable[[Any], None]] = {
    use.__name__: use
    for use in (subclass, subclass_beside_a_foreign_base, embed, generic, created, adapted, described, carried, served)
}


def main() -> None:
    from timeweb_sdk import models

    use = USES[sys.argv[1]]
    names = sorted(models.__all__, reverse="reversed" in sys.argv)
    for name in names:
        try:
            use(getattr(models, name))
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:300]!r}")
    print(f"{len(names)} models")


if __name__ == "__main__":
    main()
