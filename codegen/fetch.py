"""The vendor's bundle, downloaded or from a file, and distilled into `openapi/`: where an update begins."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

from codegen.distil import distil
from codegen.documents import parse_json, read_json
from codegen.errors import CodegenError
from codegen.tree import Json, operations_of

BUNDLE_URL = "https://timeweb.cloud/api-docs-data/bundle.json"
"""Where the vendor's documentation page reads its contract from; found in RAprogramm/timeweb-rs, openapi/normalize_spec.py."""

_TIMEOUT = 60.0
_MOST = 64 * 1024 * 1024
"""More bytes than this are not a contract (it has 3 MB)."""


def store(raw: bytes, folder: Path, *, fetched: date) -> bool:
    """Distil `raw` into `folder`; returns whether anything has changed, for else the folder is left alone.

    Raises CodegenError if ``raw`` is not an OpenAPI document that can be distilled; nothing is written then.
    """
    try:
        bundle = parse_json(raw)
    except CodegenError as error:
        raise CodegenError(f"the bundle is not a JSON document: {error}") from error
    distilled = distil(bundle)
    if not distilled["paths"]:
        raise CodegenError("/paths: an update that would remove every operation is a mistake")
    committed = folder / "bundle.json"
    if committed.exists() and read_json(committed) == distilled:
        return False
    committed.write_text(json.dumps(distilled, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "SOURCE.md").write_text(_source(raw, distilled, fetched), encoding="utf-8")
    return True


def _source(raw: bytes, distilled: Json, fetched: date) -> str:
    rows = {
        "Source": BUNDLE_URL,
        "Date": f"{fetched.isoformat()}",
        "SHA-256": f"`{hashlib.sha256(raw).hexdigest()}`",
        "Bytes": f"{len(raw):,}",
        "Operations": str(sum(1 for _ in operations_of(distilled))),
        "Tags": str(len(distilled["tags"])),
        "Schemas": str(len(distilled["components"]["schemas"])),
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"""# Where `bundle.json` comes from

It is what `python -m codegen update` kept of the vendor's OpenAPI bundle: paths, operation ids, English tag names, parameters,
schemas, types, enums, bounds, defaults and deprecations. The vendor's descriptions, examples and code samples are not in it.
Do not edit it: corrections belong in `overlay.yaml`, our own words in `english.yaml`.

| | |
|---|---|
{table}
"""


def read(source: Path | None) -> bytes:
    """Read the bundle from a file, or from where the vendor publishes it."""
    return _file(source) if source else _download(BUNDLE_URL)


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CodegenError(f"{path}: cannot be read: {error.strerror}") from error


def _download(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "timeweb-sdk codegen"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            raw: bytes = response.read(_MOST + 1)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise CodegenError(f"{url}: cannot be downloaded: {error}; download it by other means and use --from FILE") from error
    if len(raw) > _MOST:
        raise CodegenError(f"{url}: more than {_MOST} bytes, that is no contract")
    return raw
