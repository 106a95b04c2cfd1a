"""Settings from the environment; the only place that reads it. Every name can be given as NAME or as NAME_FILE."""

import os
import secrets
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from api.access.budgets import Budget, Rate, parse_rate
from app.crash_at import read_crash_at
from app.local.kafka_heap import DEFAULT_HEAP, check_heap
from app.local.run_record import read_run_record
from app.logs import LogFormat
from broker.address import BrokerAddress
from schemas.market import MarketStatus
from store.crash_points import CrashPoint

SECRET_CHARACTERS_MIN = 32
FILE_NAMES = (
    "MODE",
    "HTTP_HOST",
    "PORT",
    "DATABASE_URL",
    "BROKER_URL",
    "BROKER_PASSWORD",
    "JWT_SECRET",
    "JWT_SECRET_PREVIOUS",
)


class Mode(StrEnum):
    """`local` is one machine for trying things; `production` refuses what is unsafe."""

    LOCAL = "local"
    PRODUCTION = "production"


class BrokerKind(StrEnum):
    """Which broker `run` starts when BROKER_URL names none: both names mean Apache Kafka, from Python wheels."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


LOCAL_RATES = {
    Budget.ORDERS: "20000/second",
    Budget.CANCELS: "40000/second",
    Budget.REQUESTS: "10000/second",
    Budget.PUBLIC: "10000/second",
    Budget.PROBES: "10000/second",
    Budget.REGISTRATIONS: "1000/second",
    Budget.LOGINS: "1000/second",
    Budget.LOGIN_ATTEMPTS: "100/minute",
    Budget.UNAUTHENTICATED: "1000/second",
}
"""One machine for trying things: nobody meets a limit who does not look for it."""
PRODUCTION_RATES = {
    Budget.ORDERS: "100/second",
    Budget.CANCELS: "200/second",
    Budget.REQUESTS: "50/second",
    Budget.PUBLIC: "50/second",
    Budget.PROBES: "50/second",
    Budget.REGISTRATIONS: "10/hour",
    Budget.LOGINS: "30/minute",
    Budget.LOGIN_ATTEMPTS: "10/minute",
    Budget.UNAUTHENTICATED: "10/second",
}
"""The internet: enough for a busy client, too little for a flood."""


class Misconfigured(Exception):
    """The settings do not hold together; `faults` are sentences for the operator."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _rate(text: str) -> str:
    parse_rate(text)
    return text


def _networks(text: object) -> object:
    """Networks out of a list with commas; anything else is judged by the field's type."""
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


RateText = Annotated[str, AfterValidator(_rate)]
"""`100/second`, `10/5 minutes` or `off`."""


def _folder(path: Path) -> Path:
    folder = path.expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    return folder


class Settings(BaseModel):
    """What an operator can set."""

    model_config = ConfigDict(frozen=True, validate_default=True, use_attribute_docstrings=True)

    mode: Mode = Mode.LOCAL
    """`local` is one machine for trying things; `production` refuses to start with what is unsafe."""
    http_host: str = "127.0.0.1"
    """Where the API listens."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The API's port; 0: any free one."""
    data: Annotated[Path, AfterValidator(_folder)] = Path(".local")
    """The folder of a local exchange: its database, its logs, its secret. A worker keeps only empty folders in it."""
    broker: BrokerKind = BrokerKind.EMBEDDED
    """The broker that `run` starts when `BROKER_URL` names none: both words mean Apache Kafka, from Python wheels."""
    demo: bool = True
    """Whether `run` adds users, prices and a market maker."""
    database_url: str = Field("", repr=False)
    """PostgreSQL, as `postgresql://user:password@host/name`; unset: that of the exchange that runs in `DATA`."""
    broker_url: str = ""
    """Kafka, as `host:port`, several with commas; unset: that of the exchange that runs in `DATA`."""
    broker_tls: bool = False
    """Whether the broker is spoken to over TLS."""
    broker_ca: Path | None = None
    """The authority of the broker's certificate; unset: what the machine trusts."""
    broker_username: str = ""
    """Who we are to the broker (SCRAM-SHA-512); only with `BROKER_TLS`."""
    broker_password: str = Field("", repr=False)
    """Goes with `BROKER_USERNAME`."""
    jwt_secret: str = Field("", repr=False)
    """Signs the tokens of logins, at least 32 characters; unset: locally one is drawn and kept in `DATA`."""
    jwt_secret_previous: str = Field("", repr=False)
    """A secret whose tokens are still accepted, while one is exchanged for another."""
    open_deposits: bool | None = None
    """Whether every user may credit himself; unset: locally yes, in production no, and there it must not be on."""
    behind_tls: bool = False
    """Whether a proxy ends TLS before the API: adds `Strict-Transport-Security`."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)] = ()
    """Whose `X-Forwarded-For` is believed."""
    rate_limit_orders: RateText | None = None
    """Placing and changing orders, for each user."""
    rate_limit_cancels: RateText | None = None
    """Cancelling orders, for each user."""
    rate_limit_requests: RateText | None = None
    """Everything else with a token, for each user."""
    rate_limit_public: RateText | None = None
    """What anybody may read, for each address."""
    rate_limit_probes: RateText | None = None
    """`/livez`, `/readyz`, `/healthz` and `/metrics`, for each address."""
    rate_limit_registrations: RateText | None = None
    """`POST /auth/register`, for each address."""
    rate_limit_logins: RateText | None = None
    """`POST /auth/login`, for each address."""
    rate_limit_login_attempts: RateText | None = None
    """`POST /auth/login`, for each e-mail address, registered or not."""
    rate_limit_strangers: RateText | None = None
    """Calls whose token or key is refused, for each address."""
    session_timeout_s: Annotated[float, Field(ge=2, le=300)] = 6.0
    """Seconds after which a worker that says nothing loses its markets; unset: 3 under `run`, and beside it as there."""
    standstill_s: Annotated[float, Field(ge=10, le=3_600)] = 30.0
    """Seconds after which a worker that owns a market and gets nowhere, though its log waits, ends its process. Slow is not stuck."""
    metrics_host: str = "127.0.0.1"
    """Where a worker serves `/metrics`; the API serves its own at `PORT`."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """The port for that; 0: any free one, which `status --workers` tells."""
    kafka_heap: Annotated[str, AfterValidator(check_heap)] = DEFAULT_HEAP
    """The largest heap of the Kafka that `run` starts, 128m to 64g."""
    topic_replication: Annotated[int, Field(ge=1, le=7)] = 1
    """How many brokers keep each topic that is made from now on."""
    log_format: LogFormat = LogFormat.JSON
    """Lines for programs or, not in production, for people."""
    crash_at: Annotated[dict[CrashPoint, int], BeforeValidator(read_crash_at)] = {}
    """For tests: where a process kills itself, as `point` or `point:times`, with commas; not in production."""

    @property
    def deposits_are_open(self) -> bool:
        """Whether every user may credit himself: locally, unless switched off."""
        return self.mode is Mode.LOCAL if self.open_deposits is None else self.open_deposits

    @property
    def rates(self) -> dict[Budget, Rate]:
        """How often what may be called: as set, else by the mode; without what is `off`."""
        usual = LOCAL_RATES if self.is_local else PRODUCTION_RATES
        texts = {budget: getattr(self, f"rate_limit_{budget.replace('-', '_')}") or usual[budget] for budget in Budget}
        rates = {budget: parse_rate(text) for budget, text in texts.items()}
        return {budget: rate for budget, rate in rates.items() if rate is not None}

    @property
    def status_of_new_markets(self) -> MarketStatus:
        """Production opens no market that has no price sources yet: an operator resumes it when it has."""
        return MarketStatus.ACTIVE if self.is_local else MarketStatus.CANCEL_ONLY

    @property
    def broker_address(self) -> str:
        """Where the broker is and how it is spoken to, with its password: for clients, not for eyes."""
        ca = "" if self.broker_ca is None else str(self.broker_ca)
        secrets = (self.broker_username, self.broker_password)
        return BrokerAddress(self.broker_url, self.broker_tls, ca, *secrets).text()

    def session_or(self, usual_s: float) -> float:
        """How long a session is, in seconds: as the operator has said, else as is usual where the process works."""
        return self.session_timeout_s if "session_timeout_s" in self.model_fields_set else usual_s

    @property
    def is_local(self) -> bool:
        """Whether this is the mode for trying things."""
        return self.mode is Mode.LOCAL


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and judge the settings; Misconfigured tells everything that is wrong at once."""
    given = dict(os.environ if environment is None else environment)
    try:
        settings = Settings.model_validate(_named(given))
    except ValidationError as error:
        faults = [f"{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise Misconfigured(faults) from error
    if faults := [*_broker_faults(settings), *_production_faults(settings)]:
        raise Misconfigured(faults)
    return settings


def resolve_local(settings: Settings) -> Settings:
    """The settings with database, broker and session of the local exchange in DATA filled in where none are named."""
    if settings.database_url:
        return settings
    local = read_run_record(settings.data)
    if local is None:
        raise Misconfigured([f"DATABASE_URL is not set and no exchange runs in {settings.data}"])
    found = {
        "database_url": local.database_url,
        "broker_url": settings.broker_url or local.broker_url,
        "session_timeout_s": settings.session_or(local.session_timeout_s),
    }
    return settings.model_copy(update=found)


def signing_secret(settings: Settings) -> str:
    """The secret that signs tokens: given, or (locally) drawn once and kept in DATA."""
    if settings.jwt_secret or not settings.is_local:
        return settings.jwt_secret
    path = settings.data / "jwt_secret"
    if not path.exists():
        settings.data.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        fresh.rename(path)
    return path.read_text()


def _named(given: dict[str, str]) -> dict[str, str]:
    """Only what is ours, lower case, with NAME_FILE read into NAME."""
    values = {name: given[name.upper()] for name in Settings.model_fields if given.get(name.upper(), "") != ""}
    for name in FILE_NAMES:
        if path := given.get(f"{name}_FILE"):
            try:
                values[name.lower()] = Path(path).read_text().strip()
            except OSError as error:
                raise Misconfigured([f"{name}_FILE: {error}"]) from error
    return values


def _broker_faults(settings: Settings) -> list[str]:
    checks = {
        "BROKER_USERNAME needs BROKER_TLS: a password does not go over a line in clear": settings.broker_tls
        or not settings.broker_username,
        "BROKER_USERNAME and BROKER_PASSWORD go together": bool(settings.broker_username)
        == bool(settings.broker_password),
        f"BROKER_CA: there is no file {settings.broker_ca}": settings.broker_ca is None or settings.broker_ca.is_file(),
    }
    return [fault for fault, holds in checks.items() if not holds]


def _is_strong(secret: str) -> bool:
    return len(secret) >= SECRET_CHARACTERS_MIN and len(set(secret)) >= 10


def _production_faults(settings: Settings) -> list[str]:
    if settings.is_local:
        return []
    before = settings.jwt_secret_previous
    checks = {
        f"JWT_SECRET must have at least {SECRET_CHARACTERS_MIN} characters in production": _is_strong(
            settings.jwt_secret
        ),
        "JWT_SECRET_PREVIOUS must be as strong as JWT_SECRET, or not set": not before or _is_strong(before),
        "OPEN_DEPOSITS must not be on in production": not settings.deposits_are_open,
        "LOG_FORMAT must be json in production": settings.log_format is LogFormat.JSON,
        "CRASH_AT must not be set in production": not settings.crash_at,
        "DATABASE_URL is required in production": bool(settings.database_url),
        "BROKER_URL is required in production": bool(settings.broker_url),
    }
    return [fault for fault, holds in checks.items() if not holds]
