"""The second yardstick of order acceptance: our own routes, tokens, rate limits, decoding and answers, with nothing stored.

`python -m bench.yardsticks.handler_only PORT SECRET`: an order that waits is answered in the next turn of the loop, as if a
transaction without cost had carried the batch.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial

import uvloop

from api.access.addresses import Proxies
from api.access.api_keys import ApiKeys
from api.access.logins import Logins
from api.access.passwords import Passwords
from api.access.rate_limits import RateLimits
from api.access.signatures import SignedRequests
from api.access.tokens import Tokens
from api.database import Database
from api.server import ApiServer
from api.services import ApiSettings, Services
from api.submission.load_poller import LoadPoller
from api.submission.submission_queue import SubmissionQueue
from app.operator import now
from app.settings import load_settings
from schemas.orders import OrderStatus
from schemas.units import Timestamp
from store.markets.backlog import MarketLoad
from store.markets.registry import MarketRegistry
from store.session.connect import connect_reader_pool, connect_writer
from store.submission import Placed, SubmissionOutcome, SubmissionRequest
from store.users.signing_secrets import SigningSecrets
from store.users.totp_secrets import TotpSecrets

NO_DATABASE = "postgresql://nobody@/nothing?host=/nowhere"


class NothingStored:
    """Answers every request as placed."""

    def __init__(self) -> None:
        self._seq = 0

    async def run(
        self, batch: Sequence[SubmissionRequest], now: Timestamp, load: Mapping[str, MarketLoad]
    ) -> Sequence[SubmissionOutcome]:
        """One number after the other."""
        del now, load
        return [self._placed() for _ in batch]

    async def close(self) -> None:
        """Nothing to give back."""

    def _placed(self) -> Placed:
        self._seq += 1
        return Placed(f"BTC-PERP-{self._seq}", f"BTC-PERP:{self._seq}", OrderStatus.PENDING, is_replay=False)


class NoLoginEnds(Logins):
    """Every token is alive, as while nobody logs out."""

    async def start(self) -> None:
        """Nobody is asked."""

    def is_known_alive(self, login: int) -> bool:
        """True."""
        del login
        return True


async def serve(port: int, secret: str) -> None:
    """Serve on 127.0.0.1 until killed."""
    database = Database(await connect_reader_pool(NO_DATABASE, "nothing"))
    registry = MarketRegistry()
    load = LoadPoller(database, registry, now, every_s=3_600)
    services = Services(
        settings=ApiSettings(),
        database=database,
        submissions=SubmissionQueue([NothingStored()], now, dict),
        load=load,
        registry=registry,
        tokens=Tokens(secret, now),
        logins=NoLoginEnds(database, partial(connect_writer, NO_DATABASE, "nothing"), now),
        keys=ApiKeys(database, now, time.monotonic),
        passwords=Passwords(),
        totp=TotpSecrets(""),
        signed=SignedRequests(database, SigningSecrets(""), now),
        now=now,
        limits=RateLimits(load_settings({}).rates),
        proxies=Proxies(),
    )
    await ApiServer(services, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
