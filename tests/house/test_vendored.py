"""Libraries of others in `web/vendor/`: unchanged, each with its licence, version and source."""

import hashlib
import json
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "web" / "vendor"
LISTED = json.loads((VENDOR / "VENDORED.json").read_text())


def test_every_vendored_file_is_listed_and_unchanged() -> None:
    """The hash in VENDORED.json is that of the file, and no file is missing from the list."""
    for library in LISTED:
        for name, about in library["files"].items():
            content = (VENDOR / library["folder"] / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == about["sha256"], f"{library['folder']}/{name}"
    listed = {f"{library['folder']}/{name}" for library in LISTED for name in library["files"]}
    found = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert found - listed <= {"VENDORED.json", "swagger-ui/README.md"}


def test_every_library_says_where_it_is_from() -> None:
    """A folder each, with the licence, the version, and the archive that the files were taken from."""
    for library in LISTED:
        assert "LICENSE" in library["files"], library["folder"]
        assert library["source"].startswith("https://registry.npmjs.org/"), library["folder"]
        assert library["version"] in library["source"], library["folder"]
        assert library["licence"] in {"Apache-2.0", "MIT"}, library["folder"]
