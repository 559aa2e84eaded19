"""The whole command tree of the vendor's `twc-cli` with its defaults, as `twc_commands.txt` walks it in one process."""

import json
import os
import subprocess
from pathlib import Path

from tests.emulator.foreign.conftest import THEIRS, TOKEN, Report, foreign

COMMANDS = Path(__file__).with_name("twc_commands.txt")
_APP = """
app:
  name: site
  type: backend
  framework: django
  preset_id: 1401
  provider_id: 00000000-0000-4000-8000-000000000001
  repository_id: 00000000-0000-4000-8000-000000000000
  branch_name: main
  build_cmd: ""
  run_cmd: gunicorn app
  is_auto_deploy: true
  commit_sha: 4b825dc642cb6eb9a060e54bf8d69288fbee4904
  comment: ""
"""
_RULES = {
    "group": {"name": "web", "description": "restored", "policy": "DROP"},
    "rules": [
        {
            "id": "00000000-0000-4000-8000-000000000001",
            "group_id": "00000000-0000-4000-8000-000000000002",
            "direction": "ingress",
            "port": "443",
            "protocol": "tcp",
            "cidr": "0.0.0.0/0",
        }
    ],
}
_SCRIPT = """
import json
import shlex
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import typer
from click.testing import CliRunner
from twc.__main__ import cli

commands, files, url, token = sys.argv[1:]
tree = typer.main.get_command(cli)
runner = CliRunner()
kept = {"files": files}


def leaves(command, path):
    if not hasattr(command, "commands"):
        yield " ".join(path)
        return
    for name, inner in command.commands.items():
        if not inner.hidden:
            yield from leaves(inner, [*path, name])


def last_id(path):
    try:
        with urlopen(Request(url + "/api/v1/" + path, headers={"Authorization": "Bearer " + token})) as reply:
            items = next(value for value in json.load(reply).values() if isinstance(value, list))
    except HTTPError:
        return "none"  # what was to be listed could not be made, which is on record
    return str(next(items[-1][key] for key in ("id", "provider_id") if key in items[-1]))


def filled(text):
    for key, value in kept.items():
        text = text.replace("{" + key + "}", value)
    return text


print(json.dumps({"tree": sorted(leaves(tree, []))}))
for line in Path(commands).read_text(encoding="utf-8").splitlines():
    name, _, command = line.rpartition(" = ")
    if not line or line.startswith("#"):
        continue
    if line.startswith("!advance "):
        moved = json.dumps({"advance": int(line.split()[1])}).encode()
        urlopen(Request(url + "/_emulator/clock", moved, {"Content-Type": "application/json"})).close()
        continue
    if line.startswith("!"):
        kept[name[1:]] = last_id(filled(command))
        continue
    result = runner.invoke(tree, shlex.split(filled(command)), input="y\\n" * 3)
    words = result.output.split()
    if name and result.exit_code == 0 and words:
        kept[name] = words[-1]
    error = repr(result.exception) if result.exception and not isinstance(result.exception, SystemExit) else ""
    print(json.dumps({"command": command, "exit": result.exit_code, "output": result.output[-400:], "error": error}))
"""


def test_every_command_ends_well(server: str, tmp_path: Path, report: Report) -> None:
    (tmp_path / ".twcrc").write_text(f'[default]\ntoken = "{TOKEN}"\n')
    (tmp_path / "app.yml").write_text(_APP)
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE desk")
    (tmp_path / "firewall.json").write_text(json.dumps(_RULES))
    environment = {**os.environ, "HOME": str(tmp_path), "TWC_TOKEN": TOKEN, "TWC_ENDPOINT": server}
    command = [foreign("twc"), "-c", _SCRIPT, str(COMMANDS), str(tmp_path), server, TOKEN]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert finished.returncode == 0, finished.stderr
    first, *asked = [json.loads(line) for line in finished.stdout.splitlines()]
    # A reply that it cannot make sense of is printed as it came, with exit code 0.
    failed = {e["command"]: (e["output"], e["error"]) for e in asked if e["exit"] or "response_id" in e["output"]}
    theirs = THEIRS["twc-cli"]
    report("twc-cli", len(asked), len(asked) - len(failed))
    surprises = {line: failed.get(line, "works") for line in failed.keys() ^ theirs["fails"].keys()}
    assert not surprises
    # A command that a later version brings is either walked or has a reason why not.
    untried = {leaf for leaf in first["tree"] if not any(f"{entry['command']} ".startswith(f"{leaf} ") for entry in asked)}
    assert untried == theirs["untried"].keys()
