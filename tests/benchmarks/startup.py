"""How long `timeweb-crm` takes to begin, beside the libraries that it cannot do without. Exits 1 over budget."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 9
MAIN = "import sys; from crm_adapter.cli import main; sys.exit(main(sys.argv[1:]))"
LIBRARY = "import typer, rich.console"
NEEDED = f"{LIBRARY}, rich.table, sqlalchemy.orm, pydantic_settings, babel.numbers, alembic.migration, timeweb_sdk, httpx"
BUDGETS = {"--version": (LIBRARY, 1.0), "--help": (LIBRARY, 2.5), "servers": (NEEDED, 1.3)}


def seconds(environment: dict[str, str], *arguments: str) -> float:
    """One run of this interpreter."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def main() -> int:
    print("## Start of the command line\n")
    print("| command | median, ms | beside | median, ms | ratio | budget |\n|---|---|---|---|---|---|")
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOSTING_DATABASE_URL": f"sqlite:///{folder}/crm.sqlite3"}
        seconds(environment, MAIN, "migrate")
        for command, (imports, budget) in BUDGETS.items():
            # In turn, so that a machine that slows down slows both.
            pairs = [(seconds(environment, MAIN, command), seconds(environment, imports)) for _ in range(ROUNDS)]
            ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(mine / other for mine, other in pairs)
            kept = kept and ratio <= budget
            beside = "`import typer, rich.console`" if imports is LIBRARY else "importing what it needs"
            print(
                f"| `timeweb-crm {command}` | {ours * 1000:.0f} | {beside} | {theirs * 1000:.0f} | {ratio:.2f} | {budget:g} |"
            )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
