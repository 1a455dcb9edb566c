"""Asks which of the pinned requirements have known vulnerabilities; fails only for one that has.

Two services know: PyPI, and OSV where that one cannot be asked. Where neither can, it says so: an audit that did not
take place must not look like one that vulnerabilities nothing.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SERVICES = ("pypi", "osv")


def run_pip_audit(service: str) -> list[dict]:
    """Return what a service says of each requirement; nothing where it cannot be asked."""
    result = subprocess.run(
        [
            str(Path(sys.executable).with_name("pip-audit")), "--require-hashes", "--disable-pip", "-r", "requirements.txt",
            "--vulnerability-service", service, "--format", "json", "--progress-spinner", "off",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    try:
        return json.loads(result.stdout)["dependencies"]
    except ValueError:
        return []


def summarize(requirements: list[dict]) -> tuple[int, list[str]]:
    """Return how many could be audited, and a line for each vulnerability."""
    audited = [requirement for requirement in requirements if "vulns" in requirement]
    vulnerabilities = [
        f"{requirement['name']} {requirement['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
        for requirement in audited
        for vulnerability in requirement["vulns"]
    ]
    return len(audited), vulnerabilities


def main() -> int:
    """Audit; return 0 unless there is a vulnerability."""
    for service in SERVICES:
        requirements = run_pip_audit(service)
        audited, vulnerabilities = summarize(requirements)
        if audited:
            summary = (
                f"{audited} of {len(requirements)} requirements audited, {len(vulnerabilities)} vulnerabilities"
            )
            print(f"{service}: {summary}", *vulnerabilities, sep="\n")  # noqa: T201  this is what it is for
            return int(bool(vulnerabilities))
    print("NOT AUDITED: neither pypi.org nor api.osv.dev tells of vulnerabilities here. Run it where they do.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
