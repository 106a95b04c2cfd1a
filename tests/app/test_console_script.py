"""`perpetua` next to `python -m app`: the program, its version, its completion; and the administrators that it makes and unmakes."""

import asyncio
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.documents.openapi import VERSION
from app.cli import cli
from app.release.version import commit
from store.schema.migrate import migration_files
from store.users.users import create_user
from tests.conftest import STARTED_AT
from tests.store.account_builder import session_to
from tests.terminal import ROOT, program_on_terminal

INSTALL = str(ROOT / "app" / "release" / "install.py")


@pytest.fixture(name="perpetua")
def console_script(tmp_path: Path) -> Path:
    """The program, as `make install` writes it into the environment."""
    subprocess.run([sys.executable, INSTALL, "scripts", str(tmp_path)], check=True)
    return tmp_path / "perpetua"


def test_perpetua_runs_from_any_folder(perpetua: Path) -> None:
    """It is the same command line, under its own name: version, commit and the migration that it brings a database to."""
    shown = subprocess.run([perpetua, "--version"], cwd="/", capture_output=True, text=True, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    newest = migration_files()[-1].name[:4]
    assert re.fullmatch(
        rf"perpetua {re.escape(VERSION)}, commit {head[:12]}(-dirty)?, migration {newest}\n", shown.stdout
    )
    wrong = subprocess.run([perpetua, "nonsense"], cwd="/", capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (2, "Usage: perpetua [OPTIONS] COMMAND [ARGS]...")


def test_the_version_is_said_once() -> None:
    """That of the API's document and that of the project are one."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_an_archive_and_an_image_know_their_commit(tmp_path: Path) -> None:
    """`git archive` and the Dockerfile write it into a file; a tree with neither file nor repository does not know."""
    file = tmp_path / "commit.txt"
    assert commit(file, tmp_path) == "unknown"
    file.write_text("$Format:%H$\n")
    assert commit(file, tmp_path) == "unknown"
    file.write_text("0123456789abcdef0123456789abcdef01234567\n")
    assert commit(file, tmp_path) == "0123456789ab"
    archive = subprocess.run(
        ["git", "archive", "--worktree-attributes", "HEAD", "app/release"], cwd=ROOT, capture_output=True, check=True
    )
    unpacked = subprocess.run(
        ["tar", "-xO", "app/release/commit.txt"], input=archive.stdout, capture_output=True, check=True
    )
    assert re.fullmatch(rb"[0-9a-f]{40}\n", unpacked.stdout)
    assert "app/release/commit.txt" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("perpetua mark", {"market"}),
        ("perpetua market ca", {"cancel-only"}),
        ("perpetua market halt B", {"BTC-PERP"}),
        ("perpetua verify --market ", {"BTC-PERP", "ETH-PERP"}),
        ("perpetua status --w", {"--workers", "--watch"}),
        ("perpetua completion z", {"zsh"}),
    ],
)
def test_bash_completes_commands_options_and_markets(
    perpetua: Path, database: str, line: str, offered: set[str]
) -> None:
    """What the printed script makes bash ask for; the markets are those of the exchange that the command would find."""
    script = subprocess.run([perpetua, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    words = line.split(" ")
    asked = f"""
{script}
COMP_WORDS=({" ".join(word or "''" for word in words)})
COMP_CWORD={len(words) - 1}
_perpetua_completion {perpetua}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = os.environ | {"DATABASE_URL": database}
    found = subprocess.run(["bash", "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert set(found.stdout.split()) == offered, found.stderr


def test_completion_without_an_exchange_offers_nothing(perpetua: Path, tmp_path: Path) -> None:
    """No error reaches the line that is being typed."""
    environment = os.environ | {"DATA": str(tmp_path), "COMP_WORDS": "perpetua market halt B", "COMP_CWORD": "3"}
    asked = subprocess.run(
        [perpetua],
        env=environment | {"_PERPETUA_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (asked.stdout.strip(), asked.stderr) == ("", "")


async def test_an_administrator_is_made_and_unmade(database: str) -> None:
    """`admin grant` and `admin revoke`: the list says who is one; an unknown address is exit 1."""
    async with session_to(database) as session:
        for email in ("ann@x.io", "cay@x.io"):
            await create_user(session, email, "hash", STARTED_AT)
    assert (await _type(database, "admin", "grant", "Ann@x.io")).output == "Ann@x.io is an administrator\n"
    assert "ann@x.io" in (await _type(database, "admin", "list")).output
    kept = await _type(database, "admin", "revoke", "ann@x.io")
    assert (kept.exit_code, kept.stderr) == (
        1,
        "Error: ann@x.io is the last administrator: make another user one first\n",
    )
    assert (await _type(database, "admin", "grant", "cay@x.io")).exit_code == 0
    assert (await _type(database, "admin", "revoke", "ann@x.io")).output == "ann@x.io is not an administrator\n"
    assert "ann@x.io" not in (await _type(database, "admin", "list")).output
    for act in ("grant", "revoke"):
        unknown = await _type(database, "admin", act, "bob@x.io")
        assert (unknown.exit_code, unknown.stderr) == (1, "Error: no user has the e-mail bob@x.io\n")


def _wheel(folder: Path, name: str) -> str:
    """A package without content; its line for a lock file."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 \\\n    --hash=sha256:{sha256(path.read_bytes()).hexdigest()}\n"


async def test_the_installation_of_packages_says_how_far_it_is(tmp_path: Path) -> None:
    """On a terminal `packages n/m` counts up in one line; in a log there is one line; a failure shows what pip said."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("".join(_wheel(tmp_path, name) for name in ("first_tiny", "second_tiny")))
    offline = ("--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "site"))
    command = [sys.executable, INSTALL, "packages", str(lock), *offline]
    shown = await program_on_terminal(command, 80, {})
    assert shown.exit_code == 0, shown.raw
    counted = [line.split()[1].rstrip(",") for line in shown.lines if line.startswith("packages")]
    assert counted == ["1/2", "2/2", "2/2", "2/2"]
    assert (tmp_path / "site" / "second_tiny.py").exists()
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0", 1))
    piped = await asyncio.to_thread(
        subprocess.run, [*command, "--upgrade"], capture_output=True, text=True, check=False
    )
    assert piped.returncode != 0
    assert piped.stdout == "packages   failed\n"
    assert "hash" in piped.stderr.lower()


async def _type(database: str, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env={"DATABASE_URL": database}).invoke, cli, words)
