"""What the REST face is handed by the roof: its settings and the parts it works with. Nothing here reads the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from api.access.addresses import Proxies
from api.access.api_keys import ApiKeys
from api.access.budgets import Budget, Rate
from api.access.passwords import Passwords
from api.access.rate_limits import RateLimits
from api.access.tokens import Tokens
from api.database import Database
from api.submission.load_poller import LoadPoller
from api.submission.submission_queue import SubmissionQueue
from schemas.units import Timestamp
from store.markets.registry import MarketRegistry
from store.queries.accounts.adl import AdlRanks
from store.users.networks import Network


@dataclass(frozen=True)
class ApiSettings:
    """Choices of the operator; times in seconds, sizes in bytes."""

    are_deposits_open: bool = True
    """Whether every user credits himself; in production only an administrator does."""
    is_behind_tls: bool = False
    """Whether clients come by TLS alone, which a proxy in front of us ends: then answers say that it stays so."""
    rates: Mapping[Budget, Rate] = field(default_factory=dict)
    """What is limited; what is not named here is not."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose word on a client's address counts."""
    drain_timeout_s: float = 30.0
    wait_timeout_s: float = 2.0
    """How long a read waits for the command that it must see."""
    body_timeout_s: float = 10.0
    body_bytes_max: int = 64 * 1024
    keepalive_timeout_s: float = 15.0
    readiness_grace_s: float = 0.5
    """How long /readyz answers 503 before the listener closes, so that a load balancer has seen it."""
    idle_grace_s: float = 1.0
    """How long an idle connection may still bring a request after the listener has closed: it is answered, and closed."""
    stop_timeout_s: float = 8.0


@dataclass
class Lifecycle:
    """Whether the server is on its way out: then /readyz says so and connections are not kept."""

    is_stopping: bool = False


@dataclass(frozen=True)
class Services:
    """The parts that routes work with."""

    settings: ApiSettings
    database: Database
    submissions: SubmissionQueue
    load: LoadPoller
    registry: MarketRegistry
    tokens: Tokens
    keys: ApiKeys
    passwords: Passwords
    now: Callable[[], Timestamp]
    limits: RateLimits
    proxies: Proxies
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    ranks: AdlRanks = field(default_factory=AdlRanks)


SERVICES = web.AppKey("SERVICES", Services)


def services_of(request: web.Request) -> Services:
    """The parts that this request's application was made of."""
    return request.app[SERVICES]
