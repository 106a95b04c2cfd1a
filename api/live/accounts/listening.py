"""One listener of a market's events for all accounts of this process: it hands each account what is about it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from api.live.accounts.account_events import users_of
from api.live.accounts.cursor import Place
from api.live.market_follower import EventBatch, MarketFollower
from schemas.events import Event


class Account(Protocol):
    """Who gets the events of its orders, position and balance."""

    def receive(self, market: str, events: Sequence[Event]) -> None:
        """Events about the account, in order."""

    def interrupted(self, market: str) -> None:
        """The log has lost events of the market: begin again from the tables."""


class MarketAccounts:
    """The accounts that follow a market. `place` is the last event that they have received, or that is about none of them."""

    def __init__(self, follower: MarketFollower) -> None:
        self.follower = follower
        self.accounts: dict[int, Account] = {}
        self.place: Place | None = None

    def add(self, user: int, account: Account) -> None:
        """Let an account receive what comes from now on."""
        self.accounts[user] = account
        self.follower.listen(self)

    def receive(self, batch: EventBatch) -> None:
        """Hand the events to the accounts that they are about."""
        found: dict[int, list[Event]] = defaultdict(list)
        for event in batch.events:
            for user in dict.fromkeys(users_of(event)):
                if user in self.accounts:
                    found[user].append(event)
        last = batch.events[-1]
        for user, events in found.items():
            self.accounts[user].receive(batch.market, events)
        self.place = Place(last.seq, last.at)

    def interrupted(self) -> None:
        """Let every account begin again."""
        self.place = None
        for account in list(self.accounts.values()):
            account.interrupted(self.follower.market)
