"""Every link in the documents leads somewhere."""

import re
from pathlib import Path

import pytest
import yaml

from tests.house.test_alerts import ROOT, anchors

PAGES = sorted(ROOT.glob("docs/**/*.md"))
ENTRANCES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def links(page: Path) -> list[str]:
    """Where the page leads to within this repository."""
    return [link for link in _LINK.findall(_CODE.sub("", page.read_text())) if not re.match(r"[a-z]+://", link)]


@pytest.mark.parametrize("page", [*ENTRANCES, *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    """A page of docs/ leads to pages of docs/ alone: the site has no others."""
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), link
        assert page.parent == ROOT or (ROOT / "docs") in target.parents, link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_navigation() -> None:
    """The site shows each page of docs/, and none that is not there."""
    listed = re.findall(r"\S+\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(listed) == sorted(str(page.relative_to(ROOT / "docs")) for page in PAGES)
