"""`python -m timeweb_sdk doctor`: what a client made here would do, and whether it works."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

_EPILOG = """\
exit codes: 0 the account answers, 1 something is wrong (a line with FAIL), 2 wrong usage"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m timeweb_sdk", formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor",
        help="tell which token and address are used, from where, and whether the account answers",
        description="Tell what a client made here would use, and whether it works. It sends a few GET requests only.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.add_argument("--profile", metavar="NAME", help="take the token from this profile of ~/.twcrc")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of lines")
    given = parser.parse_args(arguments)

    from timeweb_sdk._core.doctor import examine

    findings = examine(given.profile)
    healthy = all(finding.state != "bad" for finding in findings)
    if given.json:
        print(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}, ensure_ascii=False))
    else:
        marks = {"good": "ok  ", "warn": "warn", "bad": "FAIL"}
        for finding in findings:
            print(f"{marks[finding.state]} {finding.subject}: {finding.message}")
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
