"""Faust reads some eighty settings from the environment, and lets them win over the code; our workers let none of them in."""

from pathlib import Path
from typing import Any

import pytest
from faust.types.settings import Settings

from agents.worker.faust_app import faust_app
from agents.worker.settings import StreamSettings

NAMES = sorted({setting.env_name for setting in Settings.SETTINGS.values() if setting.env_name})
"""As the library has them, so that one that comes with a new version is among them."""
DRAWN = "reply_to"  # a random id in each app
STRANGE = "7"  # Faust refuses it, or reads it as a value never used here


def _settings(folder: Path) -> dict[str, Any]:
    """All that Faust goes by in a worker's app, also where it is deprecated."""
    conf = faust_app("engine-X", StreamSettings("", "one:9092,two:9092", folder)).conf
    kept = {name: getattr(conf, setting.storage_name) for name, setting in Settings.SETTINGS.items() if name != DRAWN}
    return kept | {"id": conf.id}


def test_the_names_that_lose_or_stop_something_are_known() -> None:
    """What the next test goes through is what the library reads, the prefix of all other names included."""
    assert {"APP_ENV_PREFIX", "BROKER_MAX_POLL_INTERVAL", "BROKER_URL", "PRODUCER_ACKS", "WEB_BIND"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_faust_takes_nothing_from_the_environment(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's app is the same for any value of a variable that Faust would read, our own BROKER_URL included."""
    monkeypatch.delenv(name, raising=False)
    clean = _settings(tmp_path)
    monkeypatch.setenv(name, STRANGE)
    assert _settings(tmp_path) == clean
