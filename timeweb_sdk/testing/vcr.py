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

from timeweb_sdk._core.guards import is_array, is_mapping, is_object
from timeweb_sdk.errors import ConfigurationError
from timeweb_sdk.secrets import STARS, is_secret_name, is_secret_parameter, scrub

SCRUBBED = STARS
"""What stands in a cassette instead of a secret."""
_HOST = "https://api.timeweb.cloud"
# A redirect is of no use to a test, and its address may carry what the request did.
_LOCATION = "location"
_LEAST_TOKEN = 8
"""Characters. Nothing shorter is a token, and replacing it would spoil the body."""


def timeweb_vcr(library_dir: str | Path, **options: Any) -> Any:
    """A `vcr.VCR` that keeps cassettes in `library_dir` and the token, passwords and keys out of them.

    Requests are matched by method, path and query, so cassettes made against one host replay against another.
    Options are those of `vcr.VCR`; `record_mode="none"` forbids the network, as it should in CI. Functions of yours
    (`before_record_request`, `before_record_response`), given here or to `use_cassette`, come first; what they leave is
    scrubbed all the same.
    """
    try:
        vcr: Any = import_module("vcr")
    except ImportError:
        raise ConfigurationError('cassettes need VCR.py: pip install "timeweb-sdk[testing]"') from None

    class ScrubbingVCR(vcr.VCR):  # type: ignore[misc]
        def get_merged_config(self, **given: Any) -> dict[str, Any]:
            return _scrubbing(vcr.VCR.get_merged_config(self, **given))

    settings = {
        "cassette_library_dir": str(library_dir),
        "match_on": ("method", "path", "query"),
        "decode_compressed_response": True,
    }
    return ScrubbingVCR(**{**settings, **options})


def _scrubbing(config: dict[str, Any]) -> dict[str, Any]:
    """Put our scrubbing behind what the settings of a cassette do to requests and responses."""
    tokens: set[str] = set()
    of_request, of_response = config["before_record_request"], config["before_record_response"]

    def before_request(request: Any) -> Any:
        tokens.update(_tokens_of(request))
        kept = of_request(request)
        return kept and scrub_request(_without(tokens, kept))

    def before_response(response: dict[str, Any]) -> Any:
        kept = of_response(response)
        return kept and scrub_response(_without(tokens, kept))

    return {**config, "before_record_request": before_request, "before_record_response": before_response}


def _tokens_of(request: Any) -> set[str]:
    """The token that a request carries: an address, a header or a body may echo it anywhere."""
    values = [str(value) for name, value in request.headers.items() if name.lower() == "authorization"]
    return {token for value in values if len(token := value.rpartition(" ")[2]) >= _LEAST_TOKEN}


def _without(tokens: set[str], recorded: Any) -> Any:
    """Put stars in place of the tokens anywhere in a request or a response."""
    if isinstance(recorded, str):
        for token in tokens:
            recorded = recorded.replace(token, STARS)
    elif isinstance(recorded, (bytes, bytearray)):
        for token in tokens:
            recorded = bytes(recorded).replace(token.encode(), STARS.encode())
    elif is_mapping(recorded):
        return {_without(tokens, key): _without(tokens, value) for key, value in recorded.items()}
    elif is_array(recorded):
        return [_without(tokens, value) for value in recorded]
    elif hasattr(recorded, "uri"):
        recorded.uri, recorded.body = _without(tokens, recorded.uri), _without(tokens, recorded.body)
        recorded.headers = _without(tokens, dict(recorded.headers))
    return recorded


def scrub_request(request: Any) -> Any:
    """Take secrets out of a request of VCR.py: headers, query, JSON body; the host becomes the public one."""
    parts = urlsplit(str(request.uri))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = [(name, SCRUBBED if _is_secret(name) else scrub(value, named=False)) for name, value in pairs]
    request.uri = f"{_HOST}{scrub(parts.path, named=False)}" + (f"?{urlencode(query)}" if query else "")
    request.headers = {name: value for name, value in _harmless(request.headers).items() if name.lower() != "host"}
    if request.body:
        request.body = scrub_body(bytes(request.body))
    return request


def scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    """Take secrets out of a response of VCR.py: headers and body."""
    headers = _harmless(response["headers"])
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
    return scrub(value) if isinstance(value, str) else value


def _hide(value: Any) -> Any:
    """Keep the shape, so that the reply still decodes: only texts and numbers in it are secrets."""
    if is_object(value):
        return {key: _hide(item) for key, item in value.items()}
    if is_array(value):
        return [_hide(item) for item in value]
    return SCRUBBED if isinstance(value, str) and value else value


def _harmless(headers: Any) -> dict[str, Any]:
    """Headers without those that hold secrets; the values of others may echo some."""
    kept = {name: value for name, value in headers.items() if name.lower() != _LOCATION and not is_secret_name(name)}
    return {name: [scrub(one) for one in value] if is_array(value) else scrub(value) for name, value in kept.items()}


def _is_secret(name: str) -> bool:
    """Whether a field holds a secret; who has an upload address may upload."""
    return name == "upload_url" or is_secret_parameter(name)
