"""The seeded users of the demo and their credentials."""

import os
import secrets
from collections.abc import Iterable, Mapping
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import msgspec

from app.demo.client import Client, Credential

SHOWN = ("maker", "alice", "bob", "carol")
"""Those of the README; `run` prints their passwords."""
TRADERS = ("dana", "emil", "faye", "gus")
"""They trade with the maker and with each other."""
DEPOSITS = {"maker": 10_000_000, "alice": 100_000, "bob": 100_000, "carol": 2_500} | dict.fromkeys(TRADERS, 50_000)


def credentials(data: Path) -> dict[str, Credential]:
    """The demo users of this DATA folder; generated at first use, then always the same."""
    path = data / "demo.json"
    known = msgspec.json.decode(path.read_bytes(), type=dict[str, Credential]) if path.exists() else {}
    if not known.keys() >= DEPOSITS.keys():
        drawn = {name: Credential(f"{name}@demo.example", secrets.token_urlsafe(9)) for name in DEPOSITS} | known
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(drawn))
        fresh.rename(path)
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Credential])


async def seed_users(clients: Mapping[str, Client], names: Iterable[str]) -> None:
    """Register and fund these users; repeating it changes nothing."""
    for name in names:
        await clients[name].register()
        await clients[name].post("/deposits", usdc(Decimal(DEPOSITS[name])), "demo-seed")


def usdc(amount: Decimal) -> dict[str, str]:
    """The body of a deposit or a withdrawal; rounded down to a micro."""
    return {"asset": "USDC", "amount": f"{amount.quantize(Decimal('0.000001'), ROUND_FLOOR).normalize():f}"}
