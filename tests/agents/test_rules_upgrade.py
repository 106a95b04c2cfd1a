"""An upgrade under way: engines of two releases at one market, and the readers of its events."""

import msgspec
import pytest

from agents.matching.command_sequencer import UnseenCommand
from agents.matching.market_assignment import MarketAssignment, StartingPoint
from broker.event_records import pack
from exchange.engine import engine
from exchange.engine import order_entry as arrival
from exchange.engine import rules as known_rules
from exchange.engine.emitter import Emitter
from exchange.engine.log.journal import EncodedEvent
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import empty_market
from exchange.errors import UnknownRules
from schemas.commands import Command, PlaceOrder
from schemas.market import RULES_FIRST
from schemas.units import Lots
from schemas.wire import GENESIS_HASH, RULES_VERSION, EventRecord, encode
from store.markets.progress import MarketProgress
from store.projection.chain import decode_chain
from tests.exchange.builders import ANN, BOB, buy, listed, rules, sell

TEA = "TEA-PERP"
NEWER = RULES_VERSION + 1
PROGRESS = MarketProgress(1, 1, 0, 0, GENESIS_HASH)
LOG: tuple[Command, ...] = (
    listed(),
    sell(ANN, 9, 100),
    buy(BOB, 2, 100),
    rules(NEWER),
    buy(BOB, 1, 100),
    buy(BOB, 1, 100),
)
"""A market that moves on, with its fourth command, to rules that only the next release knows."""


def larger(emitter: Emitter, command: PlaceOrder) -> None:
    """The new rule: an order that arrives is one lot larger."""
    arrival.place(emitter, msgspec.structs.replace(command, quantity=Lots(command.quantity + 1)))


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the code is of the next release, which has a new rule."""

    def place(emitter: Emitter, command: PlaceOrder) -> None:
        by_the_rules = larger if emitter.market.rules >= NEWER else arrival.place
        by_the_rules(emitter, command)

    monkeypatch.setattr(known_rules, "RULES_VERSION", NEWER)
    monkeypatch.setattr(engine, "place", place)


def owner(state: bytes | None = None) -> MarketAssignment:
    """An engine that starts with the empty market, or with a snapshot."""
    market = empty_market(TEA) if state is None else load(state)
    return MarketAssignment(TEA, PROGRESS, StartingPoint(market, -1), {})


def run(assignment: MarketAssignment, last: int) -> list[EncodedEvent]:
    """Hand over the commands up to `last` as one record; their events."""
    first = assignment.market.command_seq + 1
    return assignment.apply(
        [UnseenCommand(seq, msgspec.Raw(encode(LOG[seq - 1])), LOG[seq - 1]) for seq in range(first, last + 1)]
    )


def records(events: list[EncodedEvent]) -> list[EventRecord]:
    """As they go out."""
    return list(pack(TEA, 1, GENESIS_HASH, events))


def test_two_releases_never_write_two_contents_for_one_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old owner writes up to the move and stops; the new one writes the same up to there, and continues by the new rules."""
    old = owner()
    log = {event.seq: event.hash for event in run(old, 3)}
    with pytest.raises(UnknownRules):
        run(old, 6)
    upgrade(monkeypatch)
    new = owner()
    for event in run(new, 6):
        assert log.setdefault(event.seq, event.hash) == event.hash
    assert sorted(log) == list(range(1, new.market.event_seq + 1))
    assert new.market.position_of(BOB) == 2 + (1 + 1) + (1 + 1)


def test_code_that_went_by_its_own_version_would_write_another_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the version in the state is for: a release that asks itself, not the market, contradicts the old owner."""
    before = run(owner(), 3)
    monkeypatch.setattr(engine, "place", larger)
    assert [event.hash for event in run(owner(), 3)] != [event.hash for event in before]


def test_an_old_binary_does_not_take_over_from_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group may hand a market back in the middle of an upgrade: recovery meets the state and stops."""
    with monkeypatch.context() as newer:
        upgrade(newer)
        new = owner()
        run(new, 4)
        state = dump(new.market)
    with pytest.raises(UnknownRules):
        owner(state)


def test_a_record_has_the_rules_active_after_its_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they changed in the middle of it."""
    upgrade(monkeypatch)
    assignment = owner()
    assert [record.rules for record in records(run(assignment, 3))] == [RULES_FIRST]
    assert [record.rules for record in records(run(assignment, 5))] == [NEWER]


def test_a_projection_of_the_old_release_stops_at_newer_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not know what such events mean; nothing of the record is persisted."""
    with monkeypatch.context() as newer:
        upgrade(newer)
        written = records(run(owner(), 6))
        assert len(decode_chain(TEA, written)) == written[-1].last_event_seq
    with pytest.raises(UnknownRules):
        decode_chain(TEA, written)
