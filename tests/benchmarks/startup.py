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
DATABASES = "sqlalchemy.orm, sqlalchemy.dialects.sqlite, sqlalchemy.dialects.mysql, sqlalchemy.dialects.postgresql"
NEEDED = f"{LIBRARY}, rich.table, {DATABASES}, pydantic_settings, babel.numbers, timeweb_sdk.client"
BUDGETS = {"--version": (LIBRARY, 1.0), "--help": (LIBRARY, 2.5), "servers": (NEEDED, 1.3)}


def cost(environment: dict[str, str], *arguments: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of one run of this interpreter."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", *arguments], stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e6


def main() -> int:
    print("## Start of the command line\n")
    print("| command | median, ms | MB | beside | median, ms | MB | ratio of times | budget |")
    print("|---|---|---|---|---|---|---|---|")
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOSTING_DATABASE_URL": f"sqlite:///{folder}/crm.sqlite3"}
        cost(environment, MAIN, "migrate")
        for command, (imports, budget) in BUDGETS.items():
            # In turn, so that a machine that slows down slows both.
            pairs = [(cost(environment, MAIN, command), cost(environment, imports)) for _ in range(ROUNDS)]
            ours, theirs = (
                [statistics.median(column) for column in zip(*side, strict=True)] for side in zip(*pairs, strict=True)
            )
            ratio = statistics.median(mine[0] / other[0] for mine, other in pairs)
            kept = kept and ratio <= budget
            beside = "`import typer, rich.console`" if imports is LIBRARY else "importing what it needs"
            print(
                f"| `timeweb-crm {command}` | {ours[0] * 1000:.0f} | {ours[1]:.0f} "
                f"| {beside} | {theirs[0] * 1000:.0f} | {theirs[1]:.0f} | {ratio:.2f} | {budget:g} |"
            )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
