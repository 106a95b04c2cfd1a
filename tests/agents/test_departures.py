"""Whom a process removes from its groups: only who was there, is gone, and stays away."""

from agents.worker.membership.departures import REAPPEARS_WITHIN_S, Departures
from store.session.group_members import GroupMember, SeenMember

OWNER = GroupMember("engine-main", "a")
OTHER = GroupMember("engine-tail", "b")
LATER_S = REAPPEARS_WITHIN_S


def seen(member: GroupMember, *, is_gone: bool, is_of_this_server: bool = True) -> SeenMember:
    """A member as PostgreSQL shows it."""
    return SeenMember(member, is_gone, is_of_this_server)


def test_a_member_that_stays_away_is_removed() -> None:
    """Not when it is first seen to be gone, but when it has not come again."""
    departures = Departures(is_first=True)
    departures.see([seen(OWNER, is_gone=True)], 0.0)
    assert departures.due(0.0) == set()
    assert departures.next_due_s(0.0) == LATER_S
    departures.see([seen(OWNER, is_gone=True)], LATER_S)
    assert departures.due(LATER_S) == {OWNER}
    assert departures.next_due_s(LATER_S) is None


def test_a_member_that_comes_again_is_kept() -> None:
    """Its session was cut, and it has another: the wait begins again with the next loss."""
    departures = Departures(is_first=True)
    departures.see([seen(OWNER, is_gone=True)], 0.0)
    departures.see([seen(OWNER, is_gone=False)], LATER_S / 2)
    departures.see([seen(OWNER, is_gone=True)], LATER_S)
    assert departures.due(LATER_S) == set()


def test_a_later_session_removes_only_whom_it_has_seen_alive() -> None:
    """Its first one was lost: perhaps all were."""
    departures = Departures(is_first=False)
    for now_s in (0.0, LATER_S):
        departures.see([seen(OWNER, is_gone=True)], now_s)
        assert departures.due(now_s) == set()
    departures.see([seen(OWNER, is_gone=False)], 1.0)
    for now_s in (2.0, 2.0 + LATER_S):
        departures.see([seen(OWNER, is_gone=True)], now_s)
    assert departures.due(2.0 + LATER_S) == {OWNER}


def test_nobody_of_an_earlier_run_of_postgresql_is_removed() -> None:
    """A restart of PostgreSQL releases every lock: who has not come again yet is not known to be gone."""
    departures = Departures(is_first=True)
    for now_s in (0.0, LATER_S, 10 * LATER_S):
        departures.see([seen(OWNER, is_gone=True, is_of_this_server=False)], now_s)
        assert departures.due(now_s) == set()


def test_the_group_that_has_lost_a_member_is_reported_once() -> None:
    """Its standbys need not wait for their heartbeat, whether the member has left or was removed by another process."""
    departures = Departures(is_first=True)
    assert departures.see([seen(OWNER, is_gone=True), seen(OTHER, is_gone=False)], 0.0) == set()
    assert departures.see([seen(OTHER, is_gone=False)], 0.1) == {"engine-main"}
    assert departures.see([seen(OTHER, is_gone=False)], 0.2) == set()
    assert departures.see([], 0.3) == {"engine-tail"}
