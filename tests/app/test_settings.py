"""What an operator may set, and what production refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.access.budgets import Budget, Rate
from app.cli import cli
from app.local.folder_lock import FolderLock
from app.local.run_record import RunRecord, write_run_record
from app.settings import Misconfigured, load_settings, resolve_local, signing_secret

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "MODE": "production",
    "DATABASE_URL": "postgresql://db/perpetua",
    "BROKER_URL": "kafka:9092",
    "JWT_SECRET": "Zk3v-9Qw7_LmN2xY8bTt5RcU0pAs4HdF",
}


def test_the_defaults_are_a_local_exchange_with_its_demo() -> None:
    """`make run` with nothing set listens on loopback, keeps its data in .local and lets users credit themselves."""
    settings = load_settings({})
    assert (settings.http_host, settings.port, settings.data.name) == ("127.0.0.1", 8080, ".local")
    assert settings.demo
    assert settings.deposits_are_open


def test_a_setting_that_is_empty_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """make exports PORT, DATA, BROKER and DEMO even when nobody set them."""
    for name in ("PORT", "DATA", "BROKER", "DEMO"):
        monkeypatch.setenv(name, "")
    assert load_settings() == load_settings({})


def test_production_with_safe_settings_starts_and_closes_deposits() -> None:
    """Only an administrator credits accounts in production."""
    settings = load_settings(PRODUCTION)
    assert not settings.is_local
    assert not settings.deposits_are_open


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"JWT_SECRET": ""}, "JWT_SECRET"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET"),
        ({"JWT_SECRET": "a" * 64}, "JWT_SECRET"),
        ({"OPEN_DEPOSITS": "1"}, "OPEN_DEPOSITS"),
        ({"LOG_FORMAT": "console"}, "LOG_FORMAT"),
        ({"CRASH_AT": "during-recovery"}, "CRASH_AT"),
        ({"CRASH_AT": "at-will"}, "CRASH_AT"),
        ({"CRASH_AT": "during-recovery:0"}, "CRASH_AT"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"CORS_ORIGINS": "example.com"}, "CORS_ORIGINS"),
        ({"CORS_ORIGINS": "https://a.example,https://b.example:443"}, "CORS_ORIGINS"),
        ({"CORS_ORIGINS": "https://me@example.com"}, "CORS_ORIGINS"),
        ({"KEEP_ALIVE_S": "0"}, "KEEP_ALIVE_S"),
        ({"RATE_LIMIT_ORDERS": "many"}, "RATE_LIMIT_ORDERS"),
        ({"RATE_LIMIT_LOGINS": "0/second"}, "RATE_LIMIT_LOGINS"),
        ({"RATE_LIMIT_PUBLIC": "5/fortnight"}, "RATE_LIMIT_PUBLIC"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES"),
        ({"TRUSTED_PROXIES": "proxy.example"}, "TRUSTED_PROXIES"),
        ({"BROKER_USERNAME": "engine", "BROKER_PASSWORD": "secret"}, "BROKER_TLS"),
        ({"BROKER_TLS": "1", "BROKER_USERNAME": "engine"}, "BROKER_PASSWORD"),
        ({"BROKER_TLS": "1", "BROKER_CA": "/nowhere/ca.pem"}, "BROKER_CA"),
        ({"JWT_SECRET_PREVIOUS": "short"}, "JWT_SECRET_PREVIOUS"),
        ({"JWT_SECRET_PREVIOUS": "a" * 64}, "JWT_SECRET_PREVIOUS"),
        ({"PORT": "seventy"}, "PORT"),
        ({"MODE": "prod"}, "MODE"),
        ({"DATA": __file__}, "DATA"),
    ],
)
def test_production_refuses_what_is_unsafe_and_names_it(changed: dict[str, str], named: str) -> None:
    """A weak secret, open deposits, a missing address or a misspelt value stop the process before it serves."""
    with pytest.raises(Misconfigured) as refused:
        load_settings(PRODUCTION | changed)
    assert any(named in fault for fault in refused.value.faults)


def test_everything_unsafe_is_reported_at_once() -> None:
    """Nothing that production refuses is hidden by another fault: all are named at once."""
    unsafe = {"JWT_SECRET": "", "OPEN_DEPOSITS": "1", "LOG_FORMAT": "console", "CRASH_AT": "during-recovery"}
    missing = {"DATABASE_URL": ""}
    with pytest.raises(Misconfigured) as refused:
        load_settings(PRODUCTION | unsafe | missing)
    assert [fault.split()[0] for fault in refused.value.faults] == [*unsafe, *missing]


PROCESSES = ("run", "api", "relay", "engine", "projection", "publisher", "clock", "liquidator", "migrate", "topics")


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_refuses_unsafe_settings(process: str) -> None:
    """Before it does anything: no part of the exchange starts with what the others would refuse."""
    refused = CliRunner(env=PRODUCTION | {"JWT_SECRET": "short"}).invoke(cli, [process])
    assert isinstance(refused.exception, Misconfigured)
    assert ["JWT_SECRET" in fault for fault in refused.exception.faults] == [True]


def test_a_process_that_refuses_its_settings_says_why_and_ends_with_2() -> None:
    """For its supervisor: 2 means invalid settings, and the log names them."""
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, "JWT_SECRET": "short"}
    command = [sys.executable, "-m", "app", "api"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "JWT_SECRET must have at least" in ended.stderr


@pytest.mark.parametrize("name", ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "BROKER_PASSWORD", "DATABASE_URL", "BROKER_URL"])
def test_every_secret_can_come_from_a_file(tmp_path: Path, name: str) -> None:
    """NAME_FILE is read into NAME, and wins over it."""
    path, secret = tmp_path / "secret", "Another-9Qw7_LmN2xY8bTt5RcU0pAs4HdF"
    path.write_text(secret + "\n")
    user = {"BROKER_TLS": "1", "BROKER_USERNAME": "engine", "BROKER_PASSWORD": "given"}
    settings = load_settings(PRODUCTION | user | {name: "short", f"{name}_FILE": str(path)})
    assert getattr(settings, name.lower()) == secret


def test_a_missing_secret_file_is_reported(tmp_path: Path) -> None:
    """A mistyped path must not start an exchange with an empty secret."""
    with pytest.raises(Misconfigured):
        load_settings({"JWT_SECRET_FILE": str(tmp_path / "nowhere")})


def test_the_local_secret_is_drawn_once_and_kept_for_the_owner_alone(tmp_path: Path) -> None:
    """Tokens outlive a restart; nobody else on the machine can read the secret."""
    settings = load_settings({"DATA": str(tmp_path / "data")})
    secret = signing_secret(settings)
    assert len(secret) >= 48
    assert signing_secret(settings) == secret
    assert (tmp_path / "data" / "jwt_secret").stat().st_mode & 0o077 == 0


def test_settings_never_show_the_secret() -> None:
    """A settings object ends up in logs sooner or later."""
    names = ("JWT_SECRET", "JWT_SECRET_PREVIOUS", "BROKER_PASSWORD", "DATABASE_URL")
    hidden = {name: f"{PRODUCTION['JWT_SECRET']}-{name}" for name in names}
    shown = repr(load_settings(PRODUCTION | {"BROKER_TLS": "1", "BROKER_USERNAME": "engine"} | hidden))
    assert PRODUCTION["JWT_SECRET"] not in shown
    assert "engine" in shown


def test_no_exchange_in_the_data_folder_is_reported(tmp_path: Path) -> None:
    """`status` on a stopped exchange says so instead of connecting anywhere."""
    with pytest.raises(Misconfigured):
        resolve_local(load_settings({"DATA": str(tmp_path)}))


@pytest.mark.parametrize(("given", "session_timeout_s"), [({}, 3.0), ({"SESSION_TIMEOUT_S": "9"}, 9.0)])
async def test_a_process_attached_to_a_local_exchange_finds_all_by_its_folder(
    tmp_path: Path, given: dict[str, str], session_timeout_s: float
) -> None:
    """Database, broker and session are those of the exchange that runs in DATA; given settings win."""
    tree = FolderLock(tmp_path)
    await tree.acquire()
    write_run_record(tmp_path, RunRecord(1, "http://x", "postgresql://x", "127.0.0.1:4711", "x", {}, 3.0))
    try:
        found = resolve_local(load_settings({"DATA": str(tmp_path), **given}))
    finally:
        tree.release()
    assert (found.database_url, found.broker_url) == ("postgresql://x", "127.0.0.1:4711")
    assert found.session_timeout_s == session_timeout_s


def test_every_budget_has_a_rate_in_both_modes() -> None:
    """Nothing is without limit unless the operator says so; locally the limits are too high to be noticed."""
    local, production = load_settings({}).rates, load_settings(PRODUCTION).rates
    assert local.keys() == production.keys() == set(Budget)
    assert local[Budget.ORDERS].calls >= 10_000
    for rates in (local, production):
        assert rates[Budget.CANCELS].calls >= 2 * rates[Budget.ORDERS].calls
        assert rates[Budget.CANCELS].window_s == rates[Budget.ORDERS].window_s


def test_a_rate_is_set_or_switched_off_by_its_name() -> None:
    """`RATE_LIMIT_…` takes `calls/window`, or `off`."""
    given = {"RATE_LIMIT_ORDERS": "off", "RATE_LIMIT_LOGIN_ATTEMPTS": "5/10 minutes", "RATE_LIMIT_PUBLIC": "1/day"}
    rates = load_settings(PRODUCTION | given).rates
    assert Budget.ORDERS not in rates
    assert rates[Budget.LOGIN_ATTEMPTS] == Rate(5, 600)
    assert rates[Budget.PUBLIC] == Rate(1, 86_400)


def test_no_proxy_is_trusted_unless_it_is_named() -> None:
    """A list of addresses and networks, with commas."""
    assert load_settings(PRODUCTION).trusted_proxies == ()
    named = load_settings(PRODUCTION | {"TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::1"}).trusted_proxies
    assert [str(network) for network in named] == ["10.0.0.0/8", "2001:db8::1/128"]
