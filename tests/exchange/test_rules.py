"""Rules versions: moved by a command of the log alone, forwards alone, and never by code that does not know them."""

from typing import Any

import msgspec
import pytest

from exchange.engine import rules as known_rules
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import empty_market
from exchange.errors import EngineError, UnknownRules
from schemas.commands import ListMarket
from schemas.events import RulesChanged
from schemas.wire import RULES_VERSION, decode_command, encode
from tests.exchange.builders import Driver, listed, rules

NEWER = RULES_VERSION + 1


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that knows one version more."""
    monkeypatch.setattr(known_rules, "RULES_VERSION", NEWER)


def listing(**changes: Any) -> ListMarket:
    """The first command of a log, altered."""
    return msgspec.structs.replace(listed(), **changes)


def test_a_market_starts_with_the_rules_of_its_listing() -> None:
    """The listing carries them; nothing of the code that happens to run does."""
    assert empty_market("TEA-PERP").rules == 1
    assert Driver(listing(rules=RULES_VERSION)).market.rules == RULES_VERSION


def test_a_log_older_than_rule_versions_has_the_first_rules() -> None:
    """A listing without the field is read, and means version 1."""
    old = encode(listed()).replace(b',"rules":1', b"")
    assert b"rules" not in old
    assert decode_command(old) == listing(rules=1)


@pytest.mark.usefixtures("next_release")
def test_rules_move_forwards_and_the_event_gives_the_active_version() -> None:
    """A version older than the active one changes nothing and is reported."""
    driver = Driver()
    assert driver.send(rules(NEWER, at=7)) == [RulesChanged(2, 2, 7, NEWER)]
    assert driver.send(rules(NEWER)) == [RulesChanged(3, 3, 1, NEWER)]
    assert driver.send(rules(1)) == [RulesChanged(4, 4, 1, NEWER)]
    assert driver.send(rules(-3)) == [RulesChanged(5, 5, 1, NEWER)]


def test_a_command_of_unknown_rules_is_not_answered() -> None:
    """Neither the listing nor the move: this code could only guess, so it stops."""
    with pytest.raises(UnknownRules) as raised:
        Driver().send(rules(NEWER))
    assert (raised.value.newest, raised.value.got) == (RULES_VERSION, NEWER)
    with pytest.raises(UnknownRules):
        Driver(listing(rules=NEWER))
    assert issubclass(UnknownRules, EngineError)


@pytest.mark.usefixtures("next_release")
def test_the_rules_are_in_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded by code that knows them the market continues by them; older code does not take the state at all."""
    driver = Driver()
    driver.send(rules(NEWER))
    state = dump(driver.market)
    assert load(state).rules == NEWER
    monkeypatch.setattr(known_rules, "RULES_VERSION", NEWER - 1)
    with pytest.raises(UnknownRules):
        load(state)
