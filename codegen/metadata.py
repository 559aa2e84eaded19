"""Build hook: the links of the package page.

The address of the repository stands nowhere in it: where it is published from tells the build, by the variables that the
release workflow has. A README on a package index is far from the files that it links to, so its links become absolute
there; a build that knows no address shows their words alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[(?P<words>[^\]]+)\]\((?!https?:|#)(?P<path>[^)]+)\)")


def repository() -> str | None:
    """Return the address of the repository that this is built from, if a workflow says so."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None


def readme(text: str, address: str | None, version: str) -> str:
    """Return a README whose links lead somewhere from anywhere."""
    target = rf"[\g<words>]({address}/blob/v{version}/\g<path>)" if address else r"\g<words>"
    return _LINK.sub(target, text)


def urls(address: str | None) -> dict[str, str]:
    """Return what the package page links to."""
    if address is None:
        return {}
    return {
        "Source": address,
        "Documentation": f"{address}/tree/main/docs",
        "Changelog": f"{address}/blob/main/CHANGELOG.md",
        "Issues": f"{address}/issues",
        "Security": f"{address}/security",
    }


class PackagePage(MetadataHookInterface):
    """Fills in `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by the build; the version is read where the build reads it."""
        root, address = Path(self.root), repository()
        version = re.search(r'^VERSION = "(.+)"', (root / "timeweb_sdk/_core/version.py").read_text("utf-8"), re.MULTILINE)
        text = readme((root / "README.md").read_text("utf-8"), address, version[1] if version else "")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = urls(address)
