"""Every command in the documents exists."""

import re
from collections.abc import Iterator

import click
import pytest

from app.cli import cli
from tests.house.test_alerts import ROOT

PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
TYPED = sorted(
    {found.strip() for page in PAGES for found in re.findall(r"python -m app ([a-z][^`\n#|;&>]*)", page.read_text())}
)

MADE = sorted(
    {found for page in PAGES for found in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)}
)


def named(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the words after them."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        word, *words = words
        assert word in command.commands, f"{command.name} has no {word}"
        command = command.commands[word]
    return command, words


def spelt(command: click.Command) -> Iterator[str]:
    """The options of a command as they are typed."""
    for parameter in command.params:
        yield from parameter.opts


@pytest.mark.parametrize("line", TYPED)
def test_a_command_in_the_documents_is_there_with_its_options(line: str) -> None:
    """An operator in an incident must not find that it was renamed."""
    command, words = named(line.split())
    assert {word for word in words if word.startswith("--")} <= set(spelt(command))


@pytest.mark.parametrize("target", MADE)
def test_a_make_target_in_the_documents_is_there(target: str) -> None:
    """Each of them is one that `make` alone lists."""
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_a_release_is_set_up_by_a_target_that_starts_nothing() -> None:
    """The manual of an upgrade names it; it makes the environment, and shows how its commands start."""
    assert "`make install`" in (ROOT / "docs" / "operate.md").read_text()
    recipe = (ROOT / "Makefile").read_text().split("\ninstall: ", 1)[1].split("\n\n", 1)[0].splitlines()
    assert recipe[0].startswith("$(BIN)/perpetua ##")
    assert recipe[1:] == ['\t@echo "$(BIN)/perpetua"']


def test_the_manuals_hold_the_commands_that_matter() -> None:
    """The walk found them: a page whose commands were written otherwise would pass unread."""
    assert {line.split()[0] for line in TYPED} >= {
        "status",
        "audit",
        "verify",
        "rebuild",
        "dlq",
        "market",
        "tail",
        "engine",
    }
