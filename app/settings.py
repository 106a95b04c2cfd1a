"""Settings from the environment; the only place that reads it. Some can be given as NAME_FILE (FILE_NAMES)."""

import os
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from api.access.access_logged import AccessLogged
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
    "TOTP_KEY",
    "SIGNING_KEY",
)


class Mode(StrEnum):
    """`local` is for one machine, to try things; `production` refuses unsafe settings."""

    LOCAL = "local"
    PRODUCTION = "production"


class BrokerKind(StrEnum):
    """Which broker `run` starts when BROKER_URL names none: both values mean Apache Kafka, from Python wheels."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


LOCAL_RATES = {
    Budget.ORDERS: "20000/second",
    Budget.CANCELS: "40000/second",
    Budget.REQUESTS: "10000/second",
    Budget.PUBLIC: "10000/second",
    Budget.PROBES: "10000/second",
    Budget.PAGES: "10000/second",
    Budget.REGISTRATIONS: "1000/second",
    Budget.LOGINS: "1000/second",
    Budget.LOGIN_ATTEMPTS: "100/minute",
    Budget.UNAUTHENTICATED: "1000/second",
}
"""One machine, to try things: limits that ordinary use does not reach."""
PRODUCTION_RATES = {
    Budget.ORDERS: "100/second",
    Budget.CANCELS: "200/second",
    Budget.REQUESTS: "50/second",
    Budget.PUBLIC: "50/second",
    Budget.PROBES: "50/second",
    Budget.PAGES: "500/second",
    Budget.REGISTRATIONS: "10/hour",
    Budget.LOGINS: "30/minute",
    Budget.LOGIN_ATTEMPTS: "10/minute",
    Budget.UNAUTHENTICATED: "10/second",
}
"""On the internet: enough for a busy client, too little for a flood."""


class Misconfigured(Exception):
    """The settings are invalid; `faults` are sentences for the operator."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _rate(text: str) -> str:
    parse_rate(text)
    return text


def _networks(text: object) -> object:
    """Networks from a comma-separated list; anything else is validated by the field's type."""
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


def _origins(text: object) -> object:
    """Origins from a comma-separated list; a value that is no origin is refused: it would match nothing."""
    if not isinstance(text, str):
        return text
    origins = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    for origin in origins - {"*"}:
        has_usual_port = re.fullmatch(r"http://.*:80|https://.*:443", origin)  # browsers leave it out
        if has_usual_port or not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin):
            raise ValueError(f"{origin} is not an origin as browsers send it, such as https://example.com")
    return origins


RateText = Annotated[str, AfterValidator(_rate)]
"""`100/second`, `10/5 minutes` or `off`."""


def _folder(path: Path) -> Path:
    folder = path.expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    return folder


class Settings(BaseModel):
    """What an operator can set. The text after each field is its meaning in docs/configuration.md."""

    model_config = ConfigDict(frozen=True, validate_default=True)

    mode: Mode = Mode.LOCAL
    """`local` is for one machine, to try things; `production` refuses to start with unsafe settings."""
    http_host: str = "127.0.0.1"
    """The address on which the API listens; given but empty: every address of the machine, IPv4 and IPv6."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The API's port; 0 means any free one."""
    keep_alive_s: Annotated[float, Field(ge=1, le=3_600)] = 75.0
    """Seconds that an idle connection to the API stays open; a proxy in front must close its own sooner."""
    cors_origins: Annotated[frozenset[str], BeforeValidator(_origins)] = frozenset()
    """Origins whose web pages may call the API, as `https://example.com`, separated by commas; `*` is any. None by default."""
    data: Annotated[Path, AfterValidator(_folder)] = Path(".local")
    """The folder of a local exchange: its database, its logs, its secret. A worker only creates empty folders in it."""
    broker: BrokerKind = BrokerKind.EMBEDDED
    """Has no effect, kept for old environments: without `BROKER_URL`, `run` starts Apache Kafka with either value."""
    demo: bool = True
    """Whether `run` adds users, prices, a market maker and traders."""
    demo_seed: int | None = None
    """What the demo draws its prices and orders from; the same number draws the same. Default: another one at each start, which its log names."""
    database_url: str = Field("", repr=False)
    """PostgreSQL, as `postgresql://user:password@host/name`; default: the one of the exchange that runs in `DATA`."""
    broker_url: str = ""
    """Kafka, as `host:port`, several separated by commas; default: the one of the exchange that runs in `DATA`."""
    schema_registry_url: str = Field("", repr=False)
    """A schema registry with Confluent's API: `topics` registers the schemas of the documented topics there. Default: none."""
    broker_tls: bool = False
    """Whether to connect to the broker over TLS."""
    broker_ca: Path | None = None
    """The CA file for the broker's certificate; default: the trust store of the machine."""
    broker_username: str = ""
    """The user name for the broker (SCRAM-SHA-512); only with `BROKER_TLS`."""
    broker_password: str = Field("", repr=False)
    """The password of `BROKER_USERNAME`."""
    jwt_secret: str = Field("", repr=False)
    """Signs login tokens, at least 32 characters; default: locally one is generated and kept in `DATA`."""
    jwt_secret_previous: str = Field("", repr=False)
    """A secret whose tokens are still accepted, used while `JWT_SECRET` is being replaced."""
    totp_key: str = Field("", repr=False)
    """Derives the secrets of TOTP, at least 32 characters; keep it: with another one no code is accepted. Default: locally one is generated and kept in `DATA`, in production nobody can enrol."""
    signing_key: str = Field("", repr=False)
    """Derives the secrets of API keys, which sign requests, at least 32 characters; keep it: with another one no signature of an existing key is accepted. Default: locally one is generated and kept in `DATA`, in production API keys cannot sign."""
    open_deposits: bool | None = None
    """Whether users may credit their own accounts; default: 1 locally, 0 in production, which does not start with 1."""
    behind_tls: bool = False
    """Whether a proxy terminates TLS for the API: adds `Strict-Transport-Security`."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)] = ()
    """Addresses and networks whose `X-Forwarded-For` is trusted, separated by commas."""
    rate_limit_orders: RateText | None = None
    """Placing and changing orders, per user."""
    rate_limit_cancels: RateText | None = None
    """Cancelling orders, per user."""
    rate_limit_requests: RateText | None = None
    """All other requests with a token, for each user."""
    rate_limit_public: RateText | None = None
    """Public routes, for each address."""
    rate_limit_probes: RateText | None = None
    """`/livez`, `/readyz`, `/healthz` and `/metrics`, per address."""
    rate_limit_pages: RateText | None = None
    """Pages with their files, and documents, per address: a first visit loads about a hundred files."""
    rate_limit_registrations: RateText | None = None
    """`POST /auth/register`, per address."""
    rate_limit_logins: RateText | None = None
    """`POST /auth/login`, per address."""
    rate_limit_login_attempts: RateText | None = None
    """`POST /auth/login`, per e-mail address, registered or not."""
    rate_limit_strangers: RateText | None = None
    """Requests whose token or key is refused, for each address."""
    session_timeout_s: Annotated[float, Field(ge=2, le=300)] = 6.0
    """Seconds without a heartbeat after which a worker loses its markets; under `run` and next to it the default is 3."""
    standstill_s: Annotated[float, Field(ge=10, le=3_600)] = 30.0
    """Seconds without progress after which the owner of a market ends its process, if its log has work. Being slow does not count."""
    metrics_host: str = "127.0.0.1"
    """The address on which a worker serves `/metrics`; the API serves its own on `PORT`."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """The port for that; 0 means any free one, which `status --workers` shows. Under `run` the first of several: see [operate](operate.md#metrics-and-logs)."""
    kafka_heap: Annotated[str, AfterValidator(check_heap)] = DEFAULT_HEAP
    """The maximum heap of the Kafka that `run` starts, 128m to 64g."""
    topic_replication: Annotated[int, Field(ge=1, le=7)] = 1
    """The number of replicas of each newly created topic."""
    access_log: AccessLogged = AccessLogged.PRIVATE
    """Which requests the API logs: `private` leaves out market data, health checks and documents, which anybody reads."""
    access_log_file: Path | None = None
    """Where it logs them; default: to its log, under `run` to `log/access.log` in `DATA`. At 64 MiB it is renamed to `.1`."""
    log_format: LogFormat = LogFormat.JSON
    """JSON for programs or, not in production, lines for people."""
    crash_at: Annotated[dict[CrashPoint, int], BeforeValidator(read_crash_at)] = {}
    """For tests: crash points at which a process kills itself, as `point` or `point:times`, separated by commas; not in production."""

    @property
    def deposits_are_open(self) -> bool:
        """Whether users may credit their own accounts: locally, unless switched off."""
        return self.mode is Mode.LOCAL if self.open_deposits is None else self.open_deposits

    @property
    def rates(self) -> dict[Budget, Rate]:
        """Rate limits by budget: as set, else the defaults of the mode; without those that are `off`."""
        usual = LOCAL_RATES if self.is_local else PRODUCTION_RATES
        texts = {budget: getattr(self, f"rate_limit_{budget.replace('-', '_')}") or usual[budget] for budget in Budget}
        rates = {budget: parse_rate(text) for budget, text in texts.items()}
        return {budget: rate for budget, rate in rates.items() if rate is not None}

    @property
    def status_of_new_markets(self) -> MarketStatus:
        """CANCEL_ONLY in production: an operator resumes a market once it has price sources."""
        return MarketStatus.ACTIVE if self.is_local else MarketStatus.CANCEL_ONLY

    @property
    def broker_address(self) -> str:
        """The address of the broker with protocol and password: for clients, not for display. Misconfigured without one."""
        if not self.broker_url:
            raise Misconfigured(["BROKER_URL is not set: this command reads or writes the logs on the broker"])
        ca = "" if self.broker_ca is None else str(self.broker_ca)
        secrets = (self.broker_username, self.broker_password)
        return BrokerAddress(self.broker_url, self.broker_tls, ca, *secrets).text()

    def session_or(self, usual_s: float) -> float:
        """The session time-out in seconds: as set by the operator, else the given default."""
        return self.session_timeout_s if "session_timeout_s" in self.model_fields_set else usual_s

    @property
    def is_local(self) -> bool:
        """Whether the mode is `local`."""
        return self.mode is Mode.LOCAL


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the settings; Misconfigured reports all faults at once."""
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
    """The secret that signs tokens: given, or (locally) generated once and kept in DATA."""
    return _given_or_kept(settings, settings.jwt_secret, "jwt_secret")


def totp_key(settings: Settings) -> str:
    """The key of TOTP's secrets: given, or (locally) generated once and kept in DATA; empty in production where none is given."""
    return _given_or_kept(settings, settings.totp_key, "totp_key")


def signing_key(settings: Settings) -> str:
    """The key of the secrets of API keys: given, or (locally) generated once and kept in DATA; empty in production where none is given."""
    return _given_or_kept(settings, settings.signing_key, "signing_key")


def _given_or_kept(settings: Settings, given: str, name: str) -> str:
    if given or not settings.is_local:
        return given
    path = settings.data / name
    if not path.exists():
        settings.data.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        fresh.rename(path)
    return path.read_text()


def _named(given: dict[str, str]) -> dict[str, str]:
    """Only our own names, in lower case, with NAME_FILE read into NAME."""
    values = {name: given[name.upper()] for name in Settings.model_fields if given.get(name.upper(), "") != ""}
    if given.get("HTTP_HOST") == "":
        values["http_host"] = ""
    for name in FILE_NAMES:
        if path := given.get(f"{name}_FILE"):
            try:
                values[name.lower()] = Path(path).read_text().strip()
            except OSError as error:
                raise Misconfigured([f"{name}_FILE: {error}"]) from error
    return values


def _broker_faults(settings: Settings) -> list[str]:
    checks = {
        "BROKER_USERNAME needs BROKER_TLS: a password is not sent unencrypted": settings.broker_tls
        or not settings.broker_username,
        "BROKER_USERNAME and BROKER_PASSWORD must be set together": bool(settings.broker_username)
        == bool(settings.broker_password),
        f"BROKER_CA: no such file {settings.broker_ca}": settings.broker_ca is None or settings.broker_ca.is_file(),
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
        f"TOTP_KEY must have at least {SECRET_CHARACTERS_MIN} characters, or not be set": not settings.totp_key
        or _is_strong(settings.totp_key),
        f"SIGNING_KEY must have at least {SECRET_CHARACTERS_MIN} characters, or not be set": not settings.signing_key
        or _is_strong(settings.signing_key),
        "OPEN_DEPOSITS must not be on in production": not settings.deposits_are_open,
        "LOG_FORMAT must be json in production": settings.log_format is LogFormat.JSON,
        "CRASH_AT must not be set in production": not settings.crash_at,
        "DATABASE_URL is required in production": bool(settings.database_url),
    }
    return [fault for fault, holds in checks.items() if not holds]
