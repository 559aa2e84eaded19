"""Mutation testing: `python -m tests.mutation [MODULE ...]` breaks a module in small ways and tells what no test notices.

The tools that exist start an interpreter for each mutant, which here is an hour of imports for minutes of tests, or leave
the figures at the top of a module as they are, which here are the point. So: one pytest run collects the tests of a
module and notes which of its lines each one enters. Then, for each mutant, the process forks, gives the living functions
the code of the mutant and runs the tests of the changed lines, fastest first.

`floor.toml` says which tests are a module's, and what share of its mutants they must kill.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import signal
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings

from tests.mutation.operators import Mutant, mutants

ROOT = Path(__file__).parents[2]
SECONDS = 30
"""A mutant that runs for longer is caught in a loop, and so noticed."""
_FIGURES = (int, float, str, tuple, frozenset, dict, Decimal, timedelta, re.Pattern)
_UNUSED = ("terminal", "xdist", "cacheprovider")
# The same examples each time, and no search for the smallest that fails.
settings.register_profile(
    "mutation",
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def main(chosen: list[str]) -> int:
    config = tomllib.loads((Path(__file__).parent / "floor.toml").read_text(encoding="utf-8"))
    print(f"{'module':<36}{'mutants':>8}{'killed':>8}{'%':>7}{'s':>6}", flush=True)
    codes = []
    for module, tests in config["modules"].items():
        if chosen and not any(part in module for part in chosen):
            continue
        # Each in a process of its own: pytest takes modules as it found them the first time.
        if not (child := os.fork()):
            os._exit(judge(module, tests, config["floor"]))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return max(codes, key=abs, default=0)


def judge(module: str, tests: list[str], floor: float) -> int:
    """Print what became of the mutants of one module; 1 if too many live."""
    hunt, started = Hunt(module), time.monotonic()
    options = ("-o", "addopts=--import-mode=importlib", *(word for name in _UNUSED for word in ("-p", f"no:{name}")))
    code = pytest.main([*options, "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests], [hunt])
    if not hunt.mutants:
        return int(code) or 1
    killed = hunt.mutants - len(hunt.survivors)
    share = 100 * killed / hunt.mutants
    print(f"{module:<36}{hunt.mutants:>8}{killed:>8}{share:>7.1f}{time.monotonic() - started:>6.0f}")
    print(*(f"    {survivor}\n" for survivor in hunt.survivors), sep="", end="", flush=True)
    if share < floor:
        print(f"{module}: below {floor} %", flush=True)
    return int(share < floor)


class Hunt:
    """A pytest plugin that runs the collected tests once for their lines, and then for each mutant."""

    def __init__(self, module: str) -> None:
        self.module = importlib.import_module(module)
        self.file = str(self.module.__file__)
        self.mutants = 0
        self.survivors: list[str] = []
        self._lines: dict[pytest.Item, set[int]] = {}
        self._seconds: dict[pytest.Item, float] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        settings.load_profile("mutation")
        for item, following in zip_longest(session.items, session.items[1:]):
            self._learn(item, following)
        gc.unfreeze()  # what the tests' own set-up keeps out of sight
        functions = [
            found for found in gc.get_objects() if isinstance(found, FunctionType) and found.__code__.co_filename == self.file
        ]
        gc.freeze()  # so that a collection in a child copies nothing
        for mutant in mutants(Path(self.file).read_text(encoding="utf-8"), self.file):
            tests = [item for item, lines in self._lines.items() if mutant.at_import or not lines.isdisjoint(mutant.lines)]
            tests.sort(key=self._seconds.__getitem__)
            self.mutants += 1
            if not tests or self._survives(mutant, functions, tests):
                self.survivors.append(f"{mutant.lines.start}: {mutant.change}{'' if tests else '  (no test)'}")
        return True

    def _learn(self, item: pytest.Item, following: pytest.Item | None) -> None:
        lines: set[int] = set()
        self._forget()

        def enter(frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
            return note if frame.f_code.co_filename == self.file else None

        def note(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
            lines.add(frame.f_lineno)
            return note

        started = time.monotonic()
        threading.settrace(enter)
        sys.settrace(enter)
        try:
            reports = runtestprotocol(item, log=False, nextitem=following)
        finally:
            sys.settrace(None)
            threading.settrace(None)
        if any(report.failed for report in reports):
            print(*(report.longrepr for report in reports if report.failed), f"{item.nodeid} fails without a mutant", sep="\n")
            pytest.exit(returncode=2)
        if not any(report.skipped for report in reports):
            self._lines[item], self._seconds[item] = lines, time.monotonic() - started

    def _survives(self, mutant: Mutant, functions: list[FunctionType], tests: list[pytest.Item]) -> bool:
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status) == 0
        signal.alarm(SECONDS)
        failed = True
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            self._become(mutant, functions)
            failed = any(
                report.failed
                for item, following in zip_longest(tests, tests[1:])
                for report in runtestprotocol(item, log=False, nextitem=following)
            )
        finally:
            os._exit(failed)

    def _become(self, mutant: Mutant, functions: list[FunctionType]) -> None:
        """Make the living module the mutant: others hold its functions and classes already, so these stay who they are."""
        if mutant.at_import:
            namespace: dict[str, Any] = {"__name__": self.module.__name__, "__file__": self.file}
            exec(mutant.code, namespace)
            self._take_over(vars(self.module), namespace)
        codes = {(code.co_qualname, code.co_firstlineno): code for code in _inner(mutant.code)}
        for function in functions:
            code = codes.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
            if code is not None and code.co_freevars == function.__code__.co_freevars:
                function.__code__ = code
        self._forget()

    def _forget(self) -> None:
        """What a function remembers, so that each test enters it and each mutant answers anew."""
        for value in vars(self.module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()

    def _take_over(self, living: dict[str, Any], mutated: dict[str, Any]) -> None:
        """Figures, tables and defaults, wherever they have been imported to."""
        for name, new in mutated.items():
            old = living.get(name)
            if isinstance(new, FunctionType) and isinstance(old, FunctionType):
                old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__
            elif isinstance(new, type) and isinstance(old, type):
                if new.__module__ == self.module.__name__:
                    self._take_over({**vars(old)}, {**vars(new)})
            elif isinstance(new, _FIGURES) and new != old and not name.startswith("__"):
                for module in [module for module in sys.modules.values() if vars(module).get(name) is old]:
                    setattr(module, name, new)


def _inner(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner(constant)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
