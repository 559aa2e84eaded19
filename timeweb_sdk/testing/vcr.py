"""Cassettes without secrets: VCR.py, set up so that what it writes can be committed.

    from timeweb_sdk.testing.vcr import timeweb_vcr

    with timeweb_vcr("tests/cassettes").use_cassette("servers.yaml"):
        ...

It records what goes through httpx (not httpx2). Needs VCR.py (`pip install "timeweb-sdk[testing]"`); without it the call
raises `ConfigurationError`.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk._core.secrets import is_secret_name, scrub
from timeweb_sdk.errors import ConfigurationError

SCRUBBED = "**********"
"""What stands in a cassette instead of a secret."""
_HOST = "https://api.timeweb.cloud"
# A redirect is of no use to a test, and its address may carry what the request did.
_SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "location"}
_LEAST_TOKEN = 8
"""Characters. Nothing shorter is a token, and replacing it would spoil the body."""
# Beyond what is named like a secret: start-up scripts and the environment of apps carry passwords, confirmations let
# servers be deleted, and who has an upload address may upload.
_SECRET_KEYS = {"cloud_init", "envs", "hash", "code", "upload_url"}
_NO_TOKEN = SecretStr("")


def timeweb_vcr(library_dir: str | Path, **options: Any) -> Any:
    """A `vcr.VCR` that keeps cassettes in `library_dir` and the token, passwords and keys out of them.

    Requests are matched by method, path and query, so cassettes made against one host replay against another.
    Options are those of `vcr.VCR`; `record_mode="none"` forbids the network, as it should in CI.
    """
    try:
        vcr = import_module("vcr")
    except ImportError:
        raise ConfigurationError('cassettes need VCR.py: pip install "timeweb-sdk[testing]"') from None
    tokens: set[str] = set()

    def before_request(request: Any) -> Any:
        tokens.update(_tokens_of(request))
        return scrub_request(request)

    def before_response(response: dict[str, Any]) -> dict[str, Any]:
        return scrub_response(_without(tokens, response))

    settings = {
        "cassette_library_dir": str(library_dir),
        "match_on": ("method", "path", "query"),
        "before_record_request": before_request,
        "before_record_response": before_response,
        "decode_compressed_response": True,
    }
    return vcr.VCR(**{**settings, **options})


def _tokens_of(request: Any) -> set[str]:
    """The token that a request carries: a reply may echo it anywhere."""
    values = [str(value) for name, value in request.headers.items() if name.lower() == "authorization"]
    return {token for value in values if len(token := value.rpartition(" ")[2]) >= _LEAST_TOKEN}


def _without(tokens: set[str], response: dict[str, Any]) -> dict[str, Any]:
    body = response["body"].get("string") or b""
    for token in tokens:
        body = body.replace(token, SCRUBBED) if isinstance(body, str) else body.replace(token.encode(), SCRUBBED.encode())
    return {**response, "body": {**response["body"], "string": body}}


def scrub_request(request: Any) -> Any:
    """Take secrets out of a request of VCR.py: headers, query, JSON body; the host becomes the public one."""
    parts = urlsplit(str(request.uri))
    query = [(name, SCRUBBED if _is_secret(name) else value) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    request.uri = f"{_HOST}{parts.path}" + (f"?{urlencode(query)}" if query else "")
    kept = (name for name in request.headers if name.lower() != "host" and not _is_secret_header(name))
    request.headers = {name: request.headers[name] for name in kept}
    if request.body:
        request.body = scrub_body(bytes(request.body))
    return request


def scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    """Take secrets out of a response of VCR.py: headers and body."""
    headers = {name: value for name, value in response["headers"].items() if not _is_secret_header(name)}
    body = response["body"].get("string") or b""
    text = scrub_body(body.encode() if isinstance(body, str) else body)
    if text != body:
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    return {**response, "headers": headers, "body": {**response["body"], "string": text}}


def scrub_body(body: bytes) -> bytes:
    """JSON without the values of secret fields; a body that is not JSON (a kubeconfig, a file) goes as a whole."""
    if not body:
        return body
    try:
        document = json.loads(body)
    except ValueError:
        return SCRUBBED.encode()
    return json.dumps(_scrub(document), ensure_ascii=False).encode()


def _scrub(value: Any) -> Any:
    if is_object(value):
        return {key: _hide(item) if _is_secret(key) else _scrub(item) for key, item in value.items()}
    if is_array(value):
        return [_scrub(item) for item in value]
    # Error texts echo requests.
    return scrub(value, _NO_TOKEN) if isinstance(value, str) else value


def _hide(value: Any) -> Any:
    """Keep the shape, so that the reply still decodes: only texts and numbers in it are secrets."""
    if is_object(value):
        return {key: _hide(item) for key, item in value.items()}
    if is_array(value):
        return [_hide(item) for item in value]
    return SCRUBBED if isinstance(value, str) and value else value


def _is_secret_header(name: str) -> bool:
    return name.lower() in _SECRET_HEADERS or is_secret_name(name)


def _is_secret(name: str) -> bool:
    return name in _SECRET_KEYS or is_secret_name(name)
