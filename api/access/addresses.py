"""The client address of a request. `X-Forwarded-For` counts only from proxies that the operator trusts."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web

from store.users.networks import Address, Network

_NOWHERE = IPv4Address(0)
"""The address of a client that has already disconnected."""
_IPV6_SITE_BITS = 64
"""Providers assign a customer a whole /64, so a /64 counts as one address."""


class Proxies:
    """The trusted proxies in front of the API. `X-Forwarded-For` is read from the right, up to the first untrusted address."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def client_of(self, request: web.BaseRequest) -> Address:
        """The address of the client: the peer, or the first untrusted address that the trusted proxies name."""
        client = _address(request.remote or "") or _NOWHERE
        if not self._trusted or not self._are_trusted(client):
            return client
        for text in reversed(_forwarded(request)):
            earlier = _address(text.strip())
            if earlier is None:
                return client  # not an address: the last known one is the client
            client = earlier
            if not self._are_trusted(client):
                return client
        return client

    def _are_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def counted_as(address: Address) -> str:
    """The key under which calls from an address are counted: the address, or for IPv6 its /64."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_SITE_BITS), strict=False))
    return str(address)


@lru_cache(maxsize=4_096)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _forwarded(request: web.BaseRequest) -> list[str]:
    return [part for line in request.headers.getall("X-Forwarded-For", ()) for part in line.split(",")]
