"""Test the audit of requirements: only a vulnerability fails it, and an audit without data is reported as none."""

import pytest

from tests import audit

SAFE = {"name": "django", "version": "5.2.8", "vulns": []}
VULNERABLE = {"name": "pyjwt", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"]}]}
SKIPPED = {"name": "limits", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("reports", "exit_code", "output"),
    [
        ({"pypi": [SAFE, SKIPPED]}, 0, "pypi: 1 of 2 requirements audited, 0 vulnerabilities"),
        ({"pypi": [SAFE, VULNERABLE]}, 1, "pyjwt 1.0: PYSEC-1, fixed in 2.0"),
        ({"pypi": [SKIPPED], "osv": [VULNERABLE]}, 1, "osv: 1 of 1"),
        ({"pypi": [SKIPPED], "osv": []}, 0, "NOT AUDITED"),
    ],
)
def test_only_a_vulnerability_fails_the_audit(monkeypatch, capsys, reports, exit_code, output):
    monkeypatch.setattr(audit, "run_pip_audit", lambda service: reports.get(service, []))

    assert audit.main() == exit_code
    assert output in capsys.readouterr().out
