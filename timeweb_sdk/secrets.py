"""What counts as a secret, by its name and by its looks: the one list for the SDK, its cassettes and whoever stores replies.

from timeweb_sdk.secrets import is_secret_name, redact, scrub

is_secret_name("root_pass")                        # True
redact({"name": "web-1", "signing_key": "abc"})    # {'name': 'web-1', 'signing_key': '**********'}
scrub("cannot reach mysql://root:pw@203.0.113.5")  # 'cannot reach mysql://root:**********@203.0.113.5'
"""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import SecretStr

from timeweb_sdk._core.guards import is_array, is_mapping

__all__ = ["STARS", "fingerprint", "is_secret_name", "is_secret_parameter", "redact", "scrub"]

STARS = "**********"
"""What is shown in place of a secret."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_NAME = re.compile(
    # A word that names one wherever it stands: `admin_pass_hash`, `rootpwd`, `client_secret`.
    r"_(?!bypass_|compass_)[a-z]*pass_|_[a-z]*(password|passwd|passphrase|passcode|passkey|pwd)s?_|_[a-z]*secrets?_|_tokens?_"
    r"|_(bearer|creds|credentials?|psk|authorization|kube_?config|cloud_?init|user_?data|envs)_"
    # Keys, but for the half of a pair that everybody may see: `signing_key`, `apikeys`, `key_data`.
    r"|[a-z]_keys?_$|_(api|access|auth|cert|license|private|ssh)keys?_|_(private|access|api)_keys?_|_key_(data|pem)_"
    # Words that name one at the end, or before a word that says what of it is meant: `root_auth`, `session_id`, `otp_code`.
    r"|_(auth|cookies?|otp|totp|pin|pincode|session|sessionid)_"
    r"((codes?|cookie|data|header|id|seed|string|uri|url|value)_)?$"
    # Addresses that are signed: whoever has one has what it leads to.
    r"|_(download|presigned|signed)_ur[il]_"
)
_HARMLESS_NAME = re.compile(
    r"^_(is|has|can|use|needs?|should|require)_"
    r"|(?<!_session)(?<!_cookie)_(ids?|count|limit|method|policy|at|expires?|length|type|status|enabled|name)_$"
    r"|_(public|primary|foreign|sort)_keys?_$"
    # Quantities, as language models are billed by.
    r"|^_(max|min|total|used|free|remaining|input|output|ingoing|outgoing|prompt|completion)_tokens_$"
    r"|^_tokens?_(used|estimated|amount|packages?)_$"
)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a field, parameter or header of this name holds a secret: `root_pass` does, `is_password_set` does not.

    The spelling does not matter: `api_key`, `apiKey` and `X-API-Key` are the same.
    """
    words = "".join(f"_{word.lower()}" for word in _WORD.findall(name)) + "_"
    return _SECRET_NAME.search(words) is not None and _HARMLESS_NAME.search(words) is None


def is_secret_parameter(name: str) -> bool:
    """Tell whether what goes under this name in an address is a secret: also what confirms a deletion, `hash` and `code`."""
    return name in ("hash", "code") or is_secret_name(name)


def fingerprint(token: SecretStr | None) -> str:
    """Return what tells tokens apart without revealing them; an empty text for none."""
    return hashlib.sha256(token.get_secret_value().encode()).hexdigest()[:16] if token is not None else ""


# By their looks: private keys, also in base64 as kubeconfigs hold them; tokens in a header, in the form of Timeweb's and of
# well-known services; the password in an address. The last two are secret as a whole.
_VALUES = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z0-9 ]*-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)"
    r"|\bLS0tLS1CRUdJTi(?!BDRVJUSUZJQ0FURS|BQVUJMSUMg)[\w+/=]*"
    r"|(?<=bearer )[\w.~+/=-]{8,}"
    r"|\beyJ[\w.-]{16,}"
    r"|\b(?:gh[opsur]_|github_pat_|glpat-|xox[abprs]-|AKIA|dop_v1_)\w[\w-]{14,}"
    r"|\b\d{8,10}:[\w-]{35}\b"
    r"|(?<=://)(?P<user>[^\s/:@]*+:)[^\s/@]++(?=@)",
    re.DOTALL | re.IGNORECASE,
)
_WHOLE = re.compile(r"""(?:^|\\n|[{,])[ \t]*["']?kind["']?:[ \t]*["']?Config\b|(?:^|\s)#cloud-config\b""", re.MULTILINE)
_ELEMENT = re.compile(r"<(?P<name>[\w-]++)(?P<rest>[^<>]*>)[^<]*")
_NAME = re.compile(r"""(?<![\w-])(?P<name>[\w-]++)\\*["']?\s*[:=]\s*""")
# What may follow a name: a text in quotes, which may be escaped; a list or an object; else all up to a delimiter.
_VALUE = re.compile(
    r"""\\+(?P<quote>["']).*?(?:\\+(?P=quote)|\Z)|"(?:\\.|[^"\\])*+"?|'(?:\\.|[^'\\])*+'?|[\[{].*(?:[\]}]|\Z)|[^,;&}\]\n]*""",
    re.DOTALL,
)


_SHORTEST = 13
"""Characters of the shortest text that is secret by its looks, without a sign after which one may stand."""
_BEFORE_VALUES = re.compile(r"[:=<]")
_SIGNS = (
    *("private key", "ls0tls1crudjti", "bearer ", "eyj", "@"),
    *("gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xox", "akia", "dop_v1_"),
)
"""What a text in ASCII holds, in small letters, if `_VALUES` finds anything in it but the token of a bot."""
_BOT = 44
"""Characters of the shortest token of a bot."""


def scrub(text: str, *, named: bool = True) -> str:
    """Put stars in place of the secrets in a text.

    Args:
        text: Any text: an error of the API, a comment, a configuration.
        named: Also hide what follows a telling name, as in `password: …` or `token=…`. Without it only what looks like a
            secret goes: private keys, tokens, passwords in addresses, whole kubeconfigs and cloud-init scripts.
    """
    if len(text) < _SHORTEST and _BEFORE_VALUES.search(text) is None:
        return text  # most texts of a reply: names, statuses, addresses
    if ("Config" in text or "#cloud-config" in text) and _WHOLE.search(text):
        return STARS
    if _may_hold_values(text):
        text = _VALUES.sub(lambda found: (found["user"] or "") + STARS, text)
    return _hide_values(_ELEMENT.sub(_hide_element, text)) if named and _BEFORE_VALUES.search(text) else text


def _may_hold_values(text: str) -> bool:
    """Look for what `_VALUES` cannot do without, which takes a small part of its time."""
    # Beyond ASCII there are letters that are one of its letters in another case.
    return not text.isascii() or (len(text) >= _BOT and ":" in text) or any(map(text.lower().__contains__, _SIGNS))


def redact(value: Any, name: str = "", *, hide: Callable[[str], str] = scrub) -> Any:
    """Return a copy of plain data (dicts, lists, texts, numbers) as it may be shown and kept.

    Args:
        value: What was decoded from JSON or the like. Objects that are no plain data stay themselves.
        name: The name under which it came.
        hide: What its texts pass, also the keys of its dicts.
    """
    if is_mapping(value):
        return {hide(str(key)): redact(item, name_within(name, str(key)), hide=hide) for key, item in value.items()}
    if is_array(value):
        return [redact(item, name, hide=hide) for item in value]
    if isinstance(value, (str, bytes, int, float)) and not isinstance(value, bool) and is_secret_name(name):
        return STARS if value != "" else value
    return hide(value) if isinstance(value, str) else value


def name_within(name: str, key: str) -> str:
    """Return the name that decides about what stands under `key` in an object called `name`."""
    # Keys for SSH are listed with their names and public halves; whatever else is secret is secret as a whole.
    return name if is_secret_name(name) and not name.lower().startswith("ssh") else key


def _hide_element(match: re.Match[str]) -> str:
    shown = STARS if is_secret_name(match["name"]) else match[0].rpartition(">")[2]
    return f"<{match['name']}{match['rest']}{shown}"


def _hide_values(text: str) -> str:
    """Hide what follows a name like `password` and a colon or an equals sign."""
    shown, at = "", 0
    for found in _NAME.finditer(text):
        # The value may be the rest of a long text: it is looked at only where it is hidden.
        if found.start() < at or not is_secret_name(found["name"]):
            continue
        value = _VALUE.match(text, found.end())
        if value and value[0]:
            shown += text[at : found.end()] + STARS
            at = value.end()
    return shown + text[at:]
