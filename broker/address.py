"""The address of a broker: one text for where it is and how to connect, passed around like the DSN of the database.

`host:9092,host:9092` is a broker without TLS; `kafka+tls://user:password@host:9093,host:9093?ca=/path` one with TLS. Its
certificate must be signed by `ca` (default: the machine's trusted authorities) and carry the host's name. With a user,
the client authenticates by SCRAM. A password is never sent unencrypted: without TLS there is no user.
"""

import ssl
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlencode

_SCHEME = "kafka+tls://"
MECHANISM = "SCRAM-SHA-512"
METADATA_MAX_AGE_MS = 2_000
"""A broker that has just started may answer that a topic does not exist; it is asked again soon. The default is five minutes."""


_process = "perpetua"
"""What this process does, for the names of its clients."""


def name_process(kind: str) -> None:
    """Name this process at the broker, once at its start: `engine`, `relay`, `verify` …"""
    global _process  # noqa: PLW0603 - one name a process, as its pid is
    _process = kind


def client_id(about: str = "") -> str:
    """The `client.id` that the broker logs and counts by: the process, and what the client is for."""
    return f"{_process}-{about}" if about else _process


class BrokerAddress(NamedTuple):
    """The parts of an address; `servers` is a comma-separated list."""

    servers: str
    is_tls: bool = False
    ca: str = ""
    user: str = ""
    password: str = ""

    def text(self) -> str:
        """The address as text."""
        if not self.is_tls:
            return self.servers
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"{_SCHEME}{who}{self.servers}" + (f"?{urlencode({'ca': self.ca})}" if self.ca else "")


def parse_broker_address(text: str) -> BrokerAddress:
    """The parts of an address."""
    if not text.startswith(_SCHEME):
        return BrokerAddress(text)
    place, _, query = text.removeprefix(_SCHEME).partition("?")
    who, _, servers = place.rpartition("@")
    user, _, password = who.partition(":")
    ca = parse_qs(query).get("ca", [""])[0]
    return BrokerAddress(servers, True, ca, unquote(user), unquote(password))


def client_settings(address: str, about: str = "") -> dict[str, Any]:
    """The connection settings of every aiokafka client; `about` is the market or topic that it is for."""
    broker = parse_broker_address(address)
    settings: dict[str, Any] = {"bootstrap_servers": broker.servers, "client_id": client_id(about)}
    if broker.is_tls:
        settings |= {"security_protocol": "SSL", "ssl_context": _context(broker.ca)}
    if broker.user:
        settings |= {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": broker.user,
            "sasl_plain_password": broker.password,
        }
    return settings


def app_settings(address: str) -> dict[str, Any]:
    """The connection settings of a Faust app, with a ready SSL context: Faust cannot create one from a file."""
    import faust  # half a second, and only the workers of the stream need it

    broker = parse_broker_address(address)
    settings: dict[str, Any] = {"broker": ";".join(f"kafka://{server}" for server in broker.servers.split(","))}
    if broker.user:
        settings["broker_credentials"] = faust.SASLCredentials(
            username=broker.user,
            password=broker.password,
            mechanism=MECHANISM,
            ssl_context=_context(broker.ca),  # Faust ignores a context outside the credentials
        )
    elif broker.is_tls:
        settings["broker_credentials"] = faust.SSLCredentials(context=_context(broker.ca))
    return settings


@lru_cache(maxsize=8)
def _context(ca: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca or None)
