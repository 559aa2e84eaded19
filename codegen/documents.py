"""Where the documents of the contract stand, and how one is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from codegen.errors import CodegenError

ROOT = Path(__file__).resolve().parent.parent
OPENAPI = ROOT / "openapi"
BUNDLE = OPENAPI / "bundle.json"
NAMES_LOCK = OPENAPI / "names.lock"


def read_json(path: Path) -> Any:
    """Parse a file; raises CodegenError, naming it, if it cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CodegenError(f"{path}: not a readable JSON document: {error}") from error


def read_lock(path: Path) -> dict[str, str]:
    """Read a ``names.lock``; a missing file is an empty lock."""
    lock: dict[str, str] = read_json(path) if path.exists() else {}
    return lock
