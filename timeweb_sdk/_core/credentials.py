"""Where the token comes from: an argument, the environment, a profile of the vendor's command line."""

import os
from configparser import ConfigParser, Error as ParserError
from pathlib import Path

from pydantic import SecretStr

from timeweb_sdk.errors import ConfigurationError

TOKEN_VARIABLES = ("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN", "TWC_TOKEN")
"""In the order in which they are looked at; the last is that of the vendor's command line."""
NO_TOKEN = "no API token: set TIMEWEB_API_TOKEN (or TIMEWEB_CLOUD_TOKEN, TWC_TOKEN), pass token=…, or use from_profile()"


def find_token(token: str | SecretStr | None) -> tuple[SecretStr | None, str]:
    """Return the token, or None, and where it came from; that there is none only the first call minds.

    The error never shows it. Whitespace and quotes around it are dropped: files, shells and `docker --env-file` leave them
    there. A blank token is none.
    """
    given = {name: os.environ.get(name) for name in TOKEN_VARIABLES} if token is None else {"the argument token": token}
    for source, value in given.items():
        found = _stripped(value)
        if found is not None:
            _check_token(source, found)
            return found, source
    return None, ""


def find_profile(name: str | None, file: str | os.PathLike[str] | None) -> tuple[SecretStr, str]:
    """Return the token of a profile, and where it came from; raises ConfigurationError that names the file."""
    path = Path(file or os.environ.get("TWC_CONFIG_FILE") or "~/.twcrc").expanduser()
    name = name or os.environ.get("TWC_PROFILE") or "default"
    profiles = _read_profiles(path)
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise ConfigurationError(f"{path} has no profile {name!r} (there is {known}): give one of them, or add [{name}]")
    source = f"the profile {name!r} of {path}"
    token = _stripped(profiles[name])
    if token is None:
        raise ConfigurationError(f"{source} holds no token: give it a line token = …")
    _check_token(source, token)
    return token, source


def _read_profiles(path: Path) -> dict[str, str | None]:
    """Return the token of each profile. The vendor's command line writes TOML, people write INI: both are read."""
    # No section is special, least of all [default]; a percent sign is a percent sign.
    parser = ConfigParser(interpolation=None, default_section="\0", strict=False, allow_no_value=True)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        fault = f"{path} cannot be read ({error.strerror or type(error).__name__}): give the file, or set TIMEWEB_API_TOKEN"
    except (ParserError, ValueError):  # whose text quotes the line, and it may hold the token
        fault = f"{path} is no file of profiles: give [name] and below it token = …"
    else:
        return {section.strip("\"'"): parser[section].get("token") for section in parser.sections()}
    raise ConfigurationError(fault)


def _stripped(token: str | SecretStr | None) -> SecretStr | None:
    text = token.get_secret_value() if isinstance(token, SecretStr) else "" if token is None else token
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers are not all type-checked
        raise ConfigurationError(f"token is a {type(text).__name__}: give a str or a SecretStr")
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return SecretStr(text) if text else None


def _check_token(source: str, token: SecretStr) -> None:
    fault = _fault_of(token.get_secret_value())
    if fault:
        raise ConfigurationError(f"{source} {fault}: give the token as the control panel shows it")


def _fault_of(token: str) -> str | None:
    if token.lower().startswith("bearer"):
        return 'begins with "Bearer", which is added here'
    if {*token} & {'"', "'"}:
        return "contains quotes"
    if any(character.isspace() for character in token):
        return "contains whitespace"
    if not (token.isascii() and token.isprintable()):
        return "contains characters that no token has"
    return None
