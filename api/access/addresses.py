"""Whose address a request comes from. What a proxy says of it counts only where the operator has named the proxy."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web

from store.users.networks import Address, Network

_NOWHERE = IPv4Address(0)
"""The address of a client that has left already."""
_IPV6_SITE_BITS = 64
"""One customer is given a whole /64, so that is what counts as one address."""


class Proxies:
    """The proxies in front of us. `X-Forwarded-For` is read from the right, past those we trust, and no further."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def client_of(self, request: web.BaseRequest) -> Address:
        """The address of the client: the peer, or what the trusted proxy nearest to him says."""
        client = _address(request.remote or "") or _NOWHERE
        if not self._trusted or not self._are_trusted(client):
            return client
        for text in reversed(_forwarded(request)):
            behind = _address(text.strip())
            if behind is None:
                return client  # whoever wrote this is not one of ours: the last one we know is the client
            client = behind
            if not self._are_trusted(client):
                return client
        return client

    def _are_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def counted_as(address: Address) -> str:
    """The name under which the calls of an address are counted: itself, for IPv6 the network of one customer."""
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
