"""The contract fuzzed against the emulator by schemathesis: every response conforms, no 500."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.contract import contract
from tests.emulator.foreign.conftest import TOKEN, foreign

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_ERROR = {
    "type": "object",
    "required": ["status_code", "error_code", "message", "response_id"],
    "properties": {
        "status_code": {"type": "integer"},
        "error_code": {"type": "string", "minLength": 1},
        "message": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "response_id": {"type": "string", "format": "uuid"},
    },
}


def with_errors(document: dict[str, Any]) -> dict[str, Any]:
    """The contract with the API's error envelope as the reply of every operation to a bad request, and YAML left alone."""
    document = json.loads(json.dumps(document))
    for item in document["paths"].values():
        for operation in item.values():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            for status in ("400", "401", "403", "404", "405", "409", "423"):
                error = {"description": "", "content": {"application/json": {"schema": _ERROR}}}
                operation["responses"][status] = error
            for response in operation["responses"].values():
                if "application/yaml" in response.get("content", {}):
                    response["content"]["application/yaml"] = {}
    return document


@pytest.mark.timeout(660)  # longer than the limit below, which says what the fuzzer found by then
def test_every_response_conforms(server: str, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(with_errors(contract())))
    command = [foreign("schemathesis"), "-m", "schemathesis.cli", "run", str(path), "--url", server, "--checks", CHECKS]
    options = ["-H", f"Authorization: Bearer {TOKEN}", "--max-examples", "5", "--seed", "1", "--continue-on-failure"]
    phases = ["--phases", "examples,coverage,fuzzing", "--no-color"]
    finished = subprocess.run(
        [*command, *options, *phases], capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path
    )
    assert finished.returncode == 0, finished.stdout[-8000:] + finished.stderr[-2000:]
