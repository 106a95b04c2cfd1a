"""Whom an event is about, for the private channels."""

from api.live.accounts.account_events import users_of
from exchange.engine.log.journal import answer_or_fail
from exchange.engine.market import empty_market
from schemas.events import Event, ForcedActionDone, FundingPaid, PositionsSettled, PositionTransferred, TradeExecuted
from schemas.wire import decode_command, decode_event
from store.projection.lock_keys import keys_to_lock
from tests.recorded.cases import LATE, course_case, stories


def test_an_account_hears_of_each_event_that_the_projection_locks_it_for() -> None:
    """In every story, and in the life of a market; but for the end of a forced action, which follows its trade or transfer and changes nothing that is shown."""
    kinds = set()
    for case in (*stories(), course_case(LATE)):
        market = empty_market(case.market)
        for seq, body in enumerate(case.commands, 1):
            for encoded in answer_or_fail(market, seq, decode_command(body), case.failed):
                event: Event = decode_event(encoded.body)
                kinds.add(type(event))
                locked = set() if isinstance(event, ForcedActionDone) else keys_to_lock(1, [event]).users
                assert set(users_of(event)) == locked, event
    assert {TradeExecuted, PositionTransferred, FundingPaid, PositionsSettled, ForcedActionDone} <= kinds
