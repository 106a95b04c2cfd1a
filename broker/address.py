"""Where a broker is and how it is spoken to, in one text that goes through all the rooms like the address of the database.

`host:9092,host:9092` is a broker in clear; `kafka+tls://user:password@host:9093,host:9093?ca=/path` one behind TLS, whose
certificate must be signed by `ca` (else by what the machine trusts) and carry the host's name, and which asks for SCRAM
where a user is named. A password never goes over a line in clear: without TLS there is no user.
"""

import ssl
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlencode

_SCHEME = "kafka+tls://"
MECHANISM = "SCRAM-SHA-512"


class BrokerAddress(NamedTuple):
    """The parts of such a text; `servers` is a list with commas."""

    servers: str
    is_tls: bool = False
    ca: str = ""
    user: str = ""
    password: str = ""

    def text(self) -> str:
        """All of it in one text."""
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


def client_settings(address: str) -> dict[str, Any]:
    """What every client of aiokafka is told of where the broker is and how to speak to it."""
    broker = parse_broker_address(address)
    settings: dict[str, Any] = {"bootstrap_servers": broker.servers}
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
    """The same for a Faust app. The context is handed over ready: Faust cannot make one from a file by itself."""
    import faust  # half a second, and only the workers of the stream need it

    broker = parse_broker_address(address)
    settings: dict[str, Any] = {"broker": ";".join(f"kafka://{server}" for server in broker.servers.split(","))}
    if broker.user:
        settings["broker_credentials"] = faust.SASLCredentials(
            username=broker.user,
            password=broker.password,
            mechanism=MECHANISM,
            ssl_context=_context(broker.ca),  # a context beside the credentials would be passed over
        )
    elif broker.is_tls:
        settings["broker_credentials"] = faust.SSLCredentials(context=_context(broker.ca))
    return settings


@lru_cache(maxsize=8)
def _context(ca: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca or None)
