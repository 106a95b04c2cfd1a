"""How a run of the tests is ordered and split over workers."""

import pytest

from tests.distribution import SHARED_EXCHANGE, WEB, unit_of, uses_shared_exchange


def test_tests_of_the_shared_exchange_follow_one_another(request: pytest.FixtureRequest) -> None:
    """Else it would be ended and started between them; in a whole run they are the first."""
    uses = [uses_shared_exchange(item) for item in request.session.items]
    assert uses == sorted(uses, reverse=True)


def test_tests_of_the_shared_exchange_are_in_its_folder(request: pytest.FixtureRequest) -> None:
    """One that is elsewhere would start an exchange of its own on another worker."""
    for item in request.session.items:
        assert uses_shared_exchange(item) == ("any_exchange" in getattr(item, "fixturenames", ())), item.nodeid


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/system/shared/test_kill.py::test_a[b]", SHARED_EXCHANGE),
        ("tests/web/test_trade.py::test_a", WEB),
        ("tests/system/test_start.py::test_a", "tests/system/test_start.py"),
        ("tests/store/test_ledger.py::test_a[tests/system/shared/x]", "tests/store/test_ledger.py"),
    ],
)
def test_what_shares_a_worker(test: str, unit: str) -> None:
    """The users of the shared exchange; the tests in a browser; the tests of a file."""
    assert unit_of(test) == unit
