"""The reference in docs/ and in the command line is generated from the code."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from api.access.budgets import Budget
from app.cli import cli
from app.local.folder_lock import FolderLock
from app.local.run_record import RunRecord, write_run_record
from app.reference import DOCS, PAGES, meanings
from app.settings import Settings
from schemas.refusals import HTTP_STATUS, MEANING, ErrorCode
from tests.app.test_settings import PRODUCTION


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_writes(name: str) -> None:
    """`python -m app.reference` has been run since the code changed."""
    assert (DOCS / name).read_text() == PAGES[name]()


def test_every_setting_and_every_code_is_documented() -> None:
    """Each setting has its row and its sentence, each rate both defaults, each code its status and its meaning."""
    configuration, errors = PAGES["configuration.md"](), PAGES["errors.md"]()
    for name in Settings.model_fields:
        assert f"| `{name.upper()}` |" in configuration
        assert meanings()[name]
        assert meanings()[name] in configuration
    assert sum("/second |" in row or "/minute |" in row for row in configuration.splitlines()) == len(Budget)
    assert set(MEANING) == set(HTTP_STATUS) == set(ErrorCode)
    assert all(f"| `{code}` | {HTTP_STATUS[code]} | {MEANING[code]}." in errors for code in ErrorCode)


def test_the_settings_in_force_are_shown_without_the_secrets() -> None:
    """`config` says that a secret is set, never which; a rate that is not set is the one of the mode."""
    secrets = {"JWT_SECRET": PRODUCTION["JWT_SECRET"], "DATABASE_URL": "postgresql://api:hunter2@db/perpetua"}
    shown = CliRunner(env=PRODUCTION | secrets | {"TRUSTED_PROXIES": "10.0.0.0/8"}).invoke(cli, ["config", "--json"])
    assert shown.exit_code == 0
    assert not [secret for secret in (PRODUCTION["JWT_SECRET"], "hunter2") if secret in shown.output]
    values = {row["name"]: row["value"] for row in msgspec.json.decode(shown.output)}
    assert set(values) == {name.upper() for name in Settings.model_fields}
    assert (values["JWT_SECRET"], values["BROKER_PASSWORD"], values["MODE"]) == ("(set)", None, "production")
    assert (values["TRUSTED_PROXIES"], values["RATE_LIMIT_ORDERS"]) == ("10.0.0.0/8", "100/1 s")
    assert values["DATABASE_URL"] == "postgresql://api:…@db/perpetua"


async def test_the_settings_of_a_running_exchange_are_shown(tmp_path: Path) -> None:
    """As a worker started with the same DATA finds them, each with where it is from; given settings win."""
    tree = FolderLock(tmp_path)
    await tree.acquire()
    own = "postgresql://me@/perpetua?host=/tmp/x&password=hunter2"
    write_run_record(tmp_path, RunRecord(1, "http://127.0.0.1:4712", own, "127.0.0.1:4711", "x", {}, 3.0))
    (tmp_path / "jwt_secret").write_text(PRODUCTION["JWT_SECRET"])
    try:
        result = CliRunner(env={"DATA": str(tmp_path)}).invoke(cli, ["config"])
        listed = CliRunner(env={"DATA": str(tmp_path), "SESSION_TIMEOUT_S": "9"}).invoke(cli, ["config", "--json"])
    finally:
        tree.release()
    assert result.output.splitlines()[-1] == f"an exchange runs in {tmp_path}: http://127.0.0.1:4712"
    assert not [secret for secret in ("hunter2", PRODUCTION["JWT_SECRET"]) if secret in result.output + listed.output]
    rows = {row["name"]: (row["value"], row["from"]) for row in msgspec.json.decode(listed.output)}
    assert rows["DATABASE_URL"] == ("postgresql://me@/perpetua?host=/tmp/x", "DATA")
    assert rows["BROKER_URL"] == ("127.0.0.1:4711", "DATA")
    assert rows["JWT_SECRET"] == ("(set)", "DATA")
    assert rows["SESSION_TIMEOUT_S"] == (9.0, "environment")
    assert (rows["OPEN_DEPOSITS"], rows["PORT"]) == ((1, "mode"), (8080, "default"))
    assert ["SESSION_TIMEOUT_S", "3.0", "DATA"] in [line.split() for line in result.output.splitlines()]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hunter2@db/x",
        "postgresql://me:hun@ter2@db/x",
        "postgresql://me:hun/ter2@db/x",
        "postgresql://me:hun?ter2@db/x",
        "postgresql://me:hun#ter2@db/x",
        "postgresql://db/x?user=me&password=hunter2",
        "host=db password=hunter2",
    ],
)
def test_no_password_of_an_address_is_shown(address: str) -> None:
    """In any place, also in an address that PostgreSQL would refuse."""
    shown = CliRunner(env={"DATABASE_URL": address}).invoke(cli, ["config"])
    assert (shown.exit_code, "ter2" in shown.output) == (0, False)


def test_inconsistent_settings_are_reported_at_once() -> None:
    """Every fault in one go, and exit code 2 by the program's main."""
    result = CliRunner(env=PRODUCTION | {"PORT": "seventy", "MODE": "prod"}).invoke(cli, ["config"])
    assert result.exception is not None
    assert {line.split(":")[0] for line in str(result.exception).splitlines()} == {"PORT", "MODE"}
