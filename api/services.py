"""The settings and parts that the composition root gives the REST API. Nothing here reads the environment."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from api.access.addresses import Proxies
from api.access.api_keys import ApiKeys
from api.access.budgets import Budget, Rate
from api.access.logins import Logins
from api.access.passwords import Passwords
from api.access.rate_limits import RateLimits
from api.access.signatures import SignedRequests
from api.access.tokens import Tokens
from api.access_log import AccessLog
from api.bounded_threads import BoundedThreads
from api.database import Database
from api.live.live_feeds import LiveFeeds
from api.submission.load_poller import LoadPoller
from api.submission.submission_queue import SubmissionQueue
from broker.dead_letters import DeadLetter, StoredLetter
from schemas.rest.operating.dead_letters import RetryOutcome
from schemas.units import Timestamp
from store.markets.registry import MarketRegistry
from store.operators.acts import Operator
from store.queries.accounts.adl import AdlRanks
from store.queries.operations.business import BusinessFigures
from store.session.checked_clock import CheckedClock
from store.session.connect import Session
from store.users.networks import Network
from store.users.totp_secrets import TotpSecrets


@dataclass(frozen=True)
class ApiSettings:
    """Set by the operator; times in seconds, sizes in bytes."""

    are_deposits_open: bool = True
    """Whether users can credit their own accounts; in production only an administrator can."""
    opens_without_sources: bool = True
    """Whether a market without price sources may be opened; not in production."""
    is_behind_tls: bool = False
    """Whether a proxy in front terminates TLS for all clients; then every answer carries HSTS."""
    rates: Mapping[Budget, Rate] = field(default_factory=dict)
    """The rate limits; a budget that is missing here is unlimited."""
    trusted_proxies: tuple[Network, ...] = ()
    """Proxies whose `X-Forwarded-For` is trusted."""
    drain_timeout_s: float = 30.0
    wait_timeout_s: float = 2.0
    """How long a read waits for the command that the request names."""
    body_timeout_s: float = 10.0
    body_bytes_max: int = 64 * 1024
    keepalive_timeout_s: float = 75.0
    """How long an idle connection stays open. A proxy must close its own sooner, or it sends a request into a closed one."""
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages may call the API from a browser; `*` is any."""
    readiness_grace_s: float = 0.5
    """How long /readyz answers 503 before the listener closes, so that load balancers notice."""
    idle_grace_s: float = 1.0
    """How long an idle connection stays open after the listener has closed; a request on it is answered, then it closes."""
    stop_timeout_s: float = 8.0
    strangers_of_address_max: int = 100
    """Connections to the socket from one address that have not named their user."""
    strangers_max: int = 10_000
    """The same from all addresses together."""
    unread_bytes_max: int = 4 * 1024 * 1024
    """What may wait for one connection to the socket."""


@dataclass(frozen=True)
class DeadLetters:
    """How the newest dead letters are read, and one of them is retried by an operator for a reason.

    Reading raises OSError or TimeoutError where the broker does not answer.
    """

    read: Callable[[], Awaitable[list[StoredLetter]]]
    retry: Callable[[Session, Operator, DeadLetter, str | None, Timestamp], Awaitable[RetryOutcome]]


_TOO_MANY_PREVIEWS = "too many previews are waiting; try again shortly"


@dataclass
class Lifecycle:
    """Whether the server is stopping: then /readyz answers 503 and connections are not kept alive."""

    is_stopping: bool = False


@dataclass(frozen=True)
class Services:
    """The parts that routes use."""

    settings: ApiSettings
    database: Database
    submissions: SubmissionQueue
    load: LoadPoller
    registry: MarketRegistry
    tokens: Tokens
    logins: Logins
    keys: ApiKeys
    passwords: Passwords
    totp: TotpSecrets
    signed: SignedRequests
    now: Callable[[], Timestamp]
    limits: RateLimits
    proxies: Proxies
    clock: CheckedClock = field(default_factory=CheckedClock)
    """Compared with PostgreSQL's clock meanwhile; `now` is its time."""
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    ranks: AdlRanks = field(default_factory=AdlRanks)
    business: BusinessFigures = field(default_factory=BusinessFigures)
    access: AccessLog = field(default_factory=AccessLog)
    live: LiveFeeds | None = None
    """What the socket sends; None where the process has no broker to read from."""
    dead_letters: DeadLetters | None = None
    """None where the process has no broker to read from."""
    previews: BoundedThreads = field(
        default_factory=lambda: BoundedThreads("preview", _TOO_MANY_PREVIEWS, threads=1, waiting_max=64)
    )
    """One at a time: more would only share the interpreter with the event loop."""


SERVICES = web.AppKey("SERVICES", Services)


def services_of(request: web.Request) -> Services:
    """The services of this request's application."""
    return request.app[SERVICES]
