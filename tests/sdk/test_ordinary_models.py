"""The models are pydantic models like any other, however and wherever they are first used."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import field_validator, model_validator

from tests.sdk.fresh_models import USES
from timeweb_sdk import Model, models


@pytest.mark.parametrize("use", [*USES, "subclass reversed"])
def test_every_model_of_a_fresh_process(use: str) -> None:
    if use == "served":
        pytest.importorskip("fastapi")
    command = [sys.executable, "-m", "tests.sdk.fresh_models", *use.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.stdout == f"{len(models.__all__)} models\n", done.stderr[-2000:]


def test_models_that_hold_each_other_are_resolved_where_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "written_here.py").write_text(
        "from __future__ import annotations\n"
        "from timeweb_sdk import Model\n"
        "class Tree(Model):\n    root: Branch | None = None\n"
        "class Branch(Model):\n    trees: list[Tree] = []\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    written: Any = importlib.import_module("written_here")

    class Mine(written.Tree):  # type: ignore[misc]
        crm_id: int = 0

    got = Mine.model_validate({"root": {"trees": [{}]}})
    assert isinstance(got.root.trees[0], written.Tree)


class Open(Model):
    settings: dict[str, Any]


class CheckedWhole(Open):
    @model_validator(mode="after")
    def check(self) -> CheckedWhole:
        return self


class CheckedField(Open):
    @field_validator("settings")
    @classmethod
    def check(cls, value: dict[str, Any]) -> dict[str, Any]:
        return value


@pytest.mark.parametrize("model", [Open, CheckedWhole, CheckedField])
def test_validators_of_a_subclass_do_not_uncover_secrets(model: type[Open]) -> None:
    assert "hunter2" not in repr(model.model_validate({"settings": {"root_pass": "hunter2"}}))
