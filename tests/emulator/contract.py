"""The contract, read as its authors mean it. Needs nothing but the standard library."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def contract() -> dict[str, Any]:
    text = (files("timeweb_sdk") / "_generated" / "contract.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    lenient(document)
    return document


def lenient(node: Any) -> None:
    """Mend what validators take literally.

    Nullable enums and variants do not list null, variants overlap, and one map of lists has a `response_id` beside them.
    """
    if isinstance(node, dict):
        if node.get("nullable") and isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"].append(None)
        if isinstance(node.get("oneOf"), list):
            node["anyOf"] = node.pop("oneOf") + ([{"nullable": True, "enum": [None]}] if node.get("nullable") else [])
        for part in node.get("allOf", ()) if isinstance(node.get("allOf"), list) else ():
            part.pop("additionalProperties", None)
        for value in node.values():
            lenient(value)
    elif isinstance(node, list):
        for value in node:
            lenient(value)
