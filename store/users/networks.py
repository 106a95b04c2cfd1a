"""IP addresses and networks."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_network(text: str) -> Network | None:
    """Read an address or a network in CIDR notation; None when it is neither, or has bits beyond its prefix."""
    try:
        return ip_network(text)
    except ValueError:
        return None
