"""clients/js as an npm package: its build, size, types and files."""

import gzip
import json
import shutil
import subprocess

import pytest

from tests.servers import ROOT

NODE = shutil.which("node")
SIZE_BUDGET = 6_000  # bytes of the minified client, compressed

pytestmark = pytest.mark.skipif(NODE is None, reason="Node is not installed")


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a copy of the package's folder, with its build."""
    folder = tmp_path_factory.mktemp("package") / "js"
    shutil.copytree(ROOT / "clients/js", folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(command, cwd=folder, check=False, timeout=300).returncode:
        pytest.skip("npm cannot install the build tools")
    run(folder, "npm", "run", "build")
    return folder


@pytest.mark.parametrize("file", ["auth-client.js", "factors.js"])
def test_the_committed_file_is_what_the_build_generates(built, file):
    generated = (built / file).read_text()

    assert (ROOT / "clients/js" / file).read_text() == generated, "Run `npm run build` in clients/js."


def test_the_minified_client_is_within_its_size_budget(built):
    compressed = gzip.compress((built / "dist/auth-client.min.js").read_bytes(), mtime=0)

    assert len(compressed) <= SIZE_BUDGET


def test_the_minified_client_has_a_source_map_with_its_sources(built):
    source_map = json.loads((built / "dist/auth-client.min.js.map").read_text())

    assert (built / "dist/auth-client.min.js").read_text().endswith("//# sourceMappingURL=auth-client.min.js.map")
    assert all("export" in source for source in source_map["sourcesContent"])


def test_the_types_accept_correct_programs_and_refuse_wrong_ones(built):
    run(built, "npm", "run", "types")


def test_the_types_name_the_methods_of_the_client(built):
    names = run(
        built,
        NODE,
        "--input-type=module",
        "--eval",
        'import { AuthClient } from "@authproject/client";'
        "console.log(Object.getOwnPropertyNames(AuthClient.prototype).join())",
    )
    types = (built / "auth-client.d.ts").read_text()

    missing = {
        name for name in names.strip().split(",") if f"  {name}(" not in types and f"  {name}<" not in types
    }
    assert missing == set()


def test_the_package_contains_every_file_that_it_exports_and_no_tests(built):
    [packed] = json.loads(run(built, "npm", "pack", "--dry-run", "--json", "--ignore-scripts"))
    files = {file["path"] for file in packed["files"]}
    exports = json.loads((built / "package.json").read_text())["exports"].values()
    exported = {
        path.removeprefix("./")
        for export in exports
        for path in ([export] if isinstance(export, str) else export.values())
    }

    assert exported | {"LICENSE", "README.md", "dist/auth-client.min.js.map"} <= files
    assert not [path for path in files if "test" in path]
