"""The page on security says what the settings do."""

import re
from pathlib import Path

from api.access.budgets import Budget, parse_rate
from app.settings import FILE_NAMES, load_settings
from schemas.rest.api_keys import Scope
from store.users.api_keys import KEYS_MAX
from tests.app.test_settings import PRODUCTION

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()


def test_the_page_gives_every_rate() -> None:
    """Setting, production and local default of each budget."""
    local, production = load_settings({}).rates, load_settings(PRODUCTION).rates
    for budget in Budget:
        name = f"RATE_LIMIT_{budget.value.replace('-', '_').upper()}"
        row = re.search(rf"^\| `{name}`.*\| (\S+) \| (\S+) \|$", PAGE, re.MULTILINE)
        assert row is not None, name
        assert (parse_rate(row[1]), parse_rate(row[2])) == (production[budget], local[budget]), name


def test_scopes_limits_and_secrets_are_documented() -> None:
    """What anyone can look up must not be missing or outdated."""
    assert all(f"| `{scope}` |" in PAGE for scope in Scope)
    assert f"at most {KEYS_MAX} active keys" in PAGE
    assert all(f"`{name}`" in PAGE for name in FILE_NAMES if name not in {"MODE", "HTTP_HOST", "PORT"})
