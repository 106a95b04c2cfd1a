"""Nothing of an exchange on one machine is reached from another: API, database, broker and workers."""

from ipaddress import IPv6Address, ip_address

import psutil

from tests.system.conftest import Start


def _is_loopback(text: str) -> bool:
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


async def test_nothing_listens_beyond_loopback(any_exchange: Start) -> None:
    """Each listening socket of the whole tree is on loopback; a worker has one, for /metrics: Faust's web server is off."""
    exchange = await any_exchange()
    by_pid = {pid: name for name, pid in exchange.children().items()}
    listening: dict[str, list[str]] = {}
    for process in psutil.Process(exchange.pid).children(recursive=True):
        for socket in process.net_connections(kind="inet"):
            if socket.status == psutil.CONN_LISTEN:
                listening.setdefault(by_pid.get(process.pid, process.name()), []).append(socket.laddr.ip)
    assert {"api", "broker"} <= listening.keys()
    workers = set(by_pid.values()) - {"api", "broker", "postgres"}
    assert {name: len(listening.get(name, ())) for name in workers} == dict.fromkeys(workers, 1)
    assert all(_is_loopback(address) for addresses in listening.values() for address in addresses), listening
