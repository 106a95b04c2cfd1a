"""What the connections of this process subscribe to. It reads nothing as long as none of them does."""

from collections.abc import Callable
from typing import NamedTuple

from api.database import Database
from api.live.accounts.accounts import LiveAccounts
from api.live.channels import LiveChannels
from api.live.followers import Followers
from schemas.units import Timestamp
from store.queries.accounts.adl import AdlRanks
from store.queries.accounts.positions import Ranking


class LiveFeeds(NamedTuple):
    """Public and private channels, over the same readers of the logs."""

    channels: LiveChannels
    accounts: LiveAccounts

    async def close(self) -> None:
        """Read no more."""
        await self.accounts.close()
        await self.channels.close()


def live_feeds(database: Database, bootstrap: str, now: Callable[[], Timestamp], ranks: AdlRanks) -> LiveFeeds:
    """The feeds of a process that reads the logs of this broker."""
    followers = Followers(database, bootstrap, now)
    accounts = LiveAccounts(database, followers, lambda: Ranking(ranks, now()))
    return LiveFeeds(LiveChannels(database, followers), accounts)
