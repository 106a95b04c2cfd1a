"""docs/rest.md, "Generate a client", and the lock files of the tests name the same tools."""

import re

import pytest

from tests.generated.clients import LANGUAGES
from tests.generated.toolbox import HERE


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_guide_installs_what_the_tests_have_tried(name: str) -> None:
    """Each name with its version is in the lock file."""
    language = LANGUAGES[name]
    pinned = " ".join(re.sub(r"[\"<>:/]+", " ", pin.read_text()) for pin in language.pins)
    assert language.installed
    for package, version in language.installed:
        parts = [part for part in re.split(r"[/:]", package.removeprefix("@")) if part not in {"cmd", "oapi-codegen"}]
        assert version in pinned.split(), (package, version)
        assert all(part in pinned for part in parts), package


def test_no_lock_file_names_a_registry() -> None:
    """Each machine has its own."""
    for pin in HERE.rglob("*.*"):
        if pin.suffix in {".json", ".sum", ".mod", ".xml", ".npmrc"}:
            assert not re.search(r"registry\.|repo\d*\.maven|proxy\.golang", pin.read_text()), pin.name
