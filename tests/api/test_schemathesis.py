"""Test that the OpenAPI document is exact: the server accepts what it allows and refuses what it forbids.

Schemathesis calls a running server as a user who is signed in. It sends the documented examples, the limits of
every field, random bodies and sequences of calls, and applies all of its checks to the responses.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
MAX_EXAMPLES = "10"


@pytest.fixture(scope="module")
def server(start_server):
    return start_server(AUTH_ACCOUNT_LIMIT="")


def test_every_check_of_schemathesis_passes_in_every_phase(server, tmp_path):
    base_url = f"http://127.0.0.1:{server.port}"
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--no-color", "--config-file", str(CONFIGURATION),
        "run", f"{base_url}/api/schema", "--checks", "all", "--max-examples", MAX_EXAMPLES,
        "--continue-on-failure", "--generation-deterministic",
    ]  # fmt: skip

    completed = subprocess.run(
        command,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.api.schemathesis_hooks",
            "SCHEMATHESIS_API": base_url,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert completed.returncode == 0, completed.stdout + completed.stderr
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅  {phase}" in completed.stdout, completed.stdout
