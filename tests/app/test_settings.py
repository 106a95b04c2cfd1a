"""What an operator may set, and what production refuses."""

from pathlib import Path

import pytest

from app.settings import Misconfigured, load_settings, reach, signing_secret

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
        ({"CRASH_AT": "during-recovery"}, "CRASH_AT"),
        ({"CRASH_AT": "at-will"}, "CRASH_AT"),
        ({"CRASH_AT": "during-recovery:0"}, "CRASH_AT"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"BROKER_URL": ""}, "BROKER_URL"),
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


def test_every_secret_can_come_from_a_file(tmp_path: Path) -> None:
    """NAME_FILE is read into NAME, and wins over it."""
    path = tmp_path / "secret"
    path.write_text(PRODUCTION["JWT_SECRET"] + "\n")
    settings = load_settings(PRODUCTION | {"JWT_SECRET": "short", "JWT_SECRET_FILE": str(path)})
    assert settings.jwt_secret == PRODUCTION["JWT_SECRET"]


def test_a_secret_file_that_is_missing_is_told(tmp_path: Path) -> None:
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
    assert PRODUCTION["JWT_SECRET"] not in repr(load_settings(PRODUCTION))


def test_no_exchange_in_the_data_folder_is_told(tmp_path: Path) -> None:
    """`status` beside a stopped exchange says so instead of connecting anywhere."""
    with pytest.raises(Misconfigured):
        reach(load_settings({"DATA": str(tmp_path)}))
