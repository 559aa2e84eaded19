"""The lines of the log: what `TIMEWEB_LOG` switches on, and requests as commands for curl."""

import json
import logging
import os
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from timeweb_sdk.errors import ConfigurationError
from timeweb_sdk.secrets import STARS, is_secret_parameter, redact

if TYPE_CHECKING:
    from timeweb_sdk._core.request import Request

CURL = 5
"""The level of the lines for curl, below DEBUG: they hold bodies."""
LOG = logging.getLogger("timeweb_sdk")
_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG, "curl": CURL}


def obey_environment() -> None:
    """Do what TIMEWEB_LOG says: set the level, and write to stderr unless the program has handlers of its own."""
    wanted = os.environ.get("TIMEWEB_LOG", "").strip().lower()
    if not wanted:
        return
    if wanted not in _LEVELS:
        raise ConfigurationError(f"TIMEWEB_LOG={wanted!r}: give one of {', '.join(_LEVELS)}, or unset it")
    LOG.setLevel(_LEVELS[wanted])
    if not LOG.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        LOG.addHandler(handler)


logging.addLevelName(CURL, "CURL")


def log_as_curl(base_url: str, request: "Request") -> None:
    """Log a request as a command that a shell can run; the token is the shell's, other secrets are stars."""
    if LOG.isEnabledFor(CURL):
        LOG.log(CURL, "%s", _command(base_url, request))


def _command(base_url: str, request: "Request") -> str:
    query = urlencode([(name, STARS if is_secret_parameter(name) else value) for name, value in request.params], safe="*")
    words = ["curl", "-X", request.method, shlex.quote(f"{base_url}{request.path}{'?' if query else ''}{query}")]
    content_type = request.content_type
    words += ["-H", '"Authorization: Bearer $TIMEWEB_API_TOKEN"']
    if request.files is not None:
        parts = [f"{name}={value}" for name, value in redact(request.fields or {}).items()]
        parts += [f"{name}=@FILE" for name, _ in request.files]
        return " ".join([*words, *(word for part in parts for word in ("-F", shlex.quote(part)))])
    if content_type is not None:
        words += ["-H", shlex.quote(f"Content-Type: {content_type}")]
    if request.transfer.sources or (request.content is not None and content_type != "application/json"):
        return " ".join([*words, "--data-binary", "@FILE"])
    if request.content is not None:
        words += ["--data", shlex.quote(_shown(request.content))]
    return " ".join(words)


def _shown(content: bytes) -> str:
    body: Any = json.loads(content)
    return json.dumps(redact(body), ensure_ascii=False)
