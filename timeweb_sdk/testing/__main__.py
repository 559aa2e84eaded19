"""`python -m timeweb_sdk.testing`: the emulator as a server."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from types import FrameType

from timeweb_sdk.testing._call import Timings
from timeweb_sdk.testing._faults import PROFILES
from timeweb_sdk.testing._server import EmulatorServer
from timeweb_sdk.testing._statefile import StateFile
from timeweb_sdk.testing.emulator import Emulator
from timeweb_sdk.testing.scenarios import SCENARIOS

_DESCRIPTION = """\
A Timeweb Cloud account on this machine: the whole API with made-up servers, no bill and no ban.

Point any client at the address it prints; the token is whatever --token says. Servers that are created
install and start, deleted ones leave a billed address behind, the rate limit and the error replies are the
API's. Whatever keeps no state here is answered from the contract."""

_EPILOG = """\
examples:
  python -m timeweb_sdk.testing --scenario demo
      an account of 23 servers on port 8099
  python -m timeweb_sdk.testing --port 0 --state account.json --token secret
      on a free port, kept in a file: made if absent, edits to it are noticed while running
  curl -H 'Authorization: Bearer emulator-token' http://127.0.0.1:8099/api/v1/servers

control API, without a token:
  GET, PUT, PATCH        /_emulator/state      the whole account as JSON
  GET, DELETE            /_emulator/requests   what clients asked for
  GET, POST, PUT, DELETE /_emulator/faults     {"operation": "getServers", "times": 2, "status": 429}
  GET, POST              /_emulator/clock      {"advance": 3600}

exit codes: 0 stopped by a signal, 2 wrong usage, an unreadable state or a port that is taken"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m timeweb_sdk.testing",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serving = parser.add_argument_group("serving")
    serving.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serving.add_argument("--port", type=int, default=8099, help="port to listen on, 0 for a free one (default: %(default)s)")
    account = parser.add_argument_group("the account")
    account.add_argument("--token", default="emulator-token", help="the token that clients must send (default: %(default)s)")
    account.add_argument("--any-token", action="store_true", help="take whatever token clients send")
    account.add_argument("--state", type=Path, metavar="FILE", help="keep the account in this JSON file")
    account.add_argument("--scenario", choices=sorted(SCENARIOS), help="what a new account holds (default: empty)")
    account.add_argument(
        "--servers", type=int, metavar="N", help="so many servers (default: 23), in the `demo` if no scenario is given"
    )
    manners = parser.add_argument_group("manners")
    manners.add_argument("--faults", choices=sorted(PROFILES), action="append", default=[], help="misbehave; may be repeated")
    manners.add_argument("--no-rate-limit", action="store_true", help="answer more than 20 requests a second per endpoint")
    manners.add_argument("--confirm-delete", action="store_true", help="deleting takes a hash and the code 123456")
    manners.add_argument("--max-limit", type=_page_size, metavar="N", help="give no more items per page, whatever is asked for")
    manners.add_argument("--empty-401", action="store_true", help="answer a bad token with an empty body")
    manners.add_argument("--install-seconds", type=_seconds, metavar="S", help="how long installing takes (default: 10)")
    manners.add_argument("--action-seconds", type=_seconds, metavar="S", help="how long start and stop take (default: 3)")
    return parser


def _page_size(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number of items, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < inf:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of seconds, 0 or more")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        emulator = _emulator(options)
        for name in options.faults:
            emulator.add_profile(name)
        server = EmulatorServer(emulator, options.host, options.port, state_file=options.state)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    try:
        signal.signal(signal.SIGTERM, _stop)
        print(f"Timeweb emulator with {len(emulator.state['servers'])} servers listening on {server.url}", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


def _emulator(options: argparse.Namespace) -> Emulator:
    """The account of a state file that is there, else one as the scenario says."""
    scenario = SCENARIOS[options.scenario or ("empty" if options.servers is None else "demo")]
    if options.servers is not None and not scenario.has_servers:
        raise ValueError(f"--servers {options.servers}: the scenario {options.scenario} has no servers")
    kept = None if options.state is None else StateFile.read(options.state)
    if kept is not None:
        scenario = replace(scenario, state=partial(dict, kept))
        options.servers = None
    standard = scenario.timings or Timings()
    install, action = options.install_seconds, options.action_seconds
    timings = replace(
        standard,
        install=standard.install if install is None else install,
        action=standard.action if action is None else action,
    )
    return scenario.emulator(
        servers=options.servers,
        token=None if options.any_token else options.token,
        rate_limit=not options.no_rate_limit,
        confirm_delete=options.confirm_delete,
        empty_401=options.empty_401,
        max_limit=options.max_limit,
        timings=timings,
    )


def _stop(_signal: int, _frame: FrameType | None) -> None:
    # A second signal shall not interrupt the writing of the state.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
