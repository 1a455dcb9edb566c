"""Check the pinned requirements for known vulnerabilities; fail only if there is one.

The data comes from PyPI, or from OSV if PyPI cannot be reached. If neither can be reached, the output says that there
was no audit, so that it is not mistaken for one without findings.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SERVICES = ("pypi", "osv")


def run_pip_audit(service: str) -> list[dict]:
    """Return the report of a service for each requirement, or an empty list if it cannot be reached."""
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
    """Return the number of audited requirements, and a line for each vulnerability."""
    audited = [requirement for requirement in requirements if "vulns" in requirement]
    vulnerabilities = [
        f"{requirement['name']} {requirement['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
        for requirement in audited
        for vulnerability in requirement["vulns"]
    ]
    return len(audited), vulnerabilities


def main() -> int:
    """Run the audit; return 1 if there is a vulnerability, otherwise 0."""
    for service in SERVICES:
        requirements = run_pip_audit(service)
        audited, vulnerabilities = summarize(requirements)
        if audited:
            summary = (
                f"{audited} of {len(requirements)} requirements audited, {len(vulnerabilities)} vulnerabilities"
            )
            print(f"{service}: {summary}", *vulnerabilities, sep="\n")  # noqa: T201  the output of the command
            return int(bool(vulnerabilities))
    print("NOT AUDITED: neither pypi.org nor api.osv.dev can be reached. Run the audit again with network access.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
