"""What `manage.py` does for every command."""

import subprocess
import sys

from tests.servers import ROOT

CODE = "import gc; print(gc.isenabled(), gc.get_freeze_count() > len(gc.get_objects()))"


def test_a_command_collects_garbage_except_in_what_the_apps_loaded():
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--command", CODE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.splitlines()[-1] == "True True"
