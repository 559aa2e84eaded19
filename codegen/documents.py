"""Where the documents of the contract stand, and how one is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from codegen.errors import CodegenError

ROOT = Path(__file__).resolve().parent.parent
OPENAPI = ROOT / "openapi"
BUNDLE = OPENAPI / "bundle.json"
NAMES_LOCK = OPENAPI / "names.lock"
NUMBERS_LOCK = OPENAPI / "numbers.lock"


def read_json(path: Path) -> Any:
    """Parse a file; raises CodegenError, naming it, if it cannot be read or is not JSON."""
    try:
        return parse_json(path.read_bytes())
    except (OSError, CodegenError) as error:
        raise CodegenError(f"{path}: not a readable JSON document: {error}") from error


def parse_json(raw: bytes) -> Any:
    """Parse bytes; raises CodegenError for what is no JSON, also where Python would be lenient."""
    try:
        return json.loads(raw, parse_constant=_refuse)
    except RecursionError:
        raise CodegenError("it is nested too deeply") from None
    except ValueError as error:
        raise CodegenError(str(error)) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def read_lock(path: Path) -> dict[str, str]:
    """Read a lock, a JSON object of texts; a missing file is an empty lock."""
    lock: Any = read_json(path) if path.exists() else {}
    if not isinstance(lock, dict) or not all(isinstance(value, str) for value in lock.values()):
        raise CodegenError(f"{path}: a lock is an object of texts")
    return lock


def write_lock(path: Path, lock: dict[str, str]) -> None:
    """Write a lock sorted by its pointers, so that a change of it is a readable diff."""
    path.write_text(json.dumps(dict(sorted(lock.items())), indent=1) + "\n", encoding="utf-8")
