"""The seeded users of the demo and their credentials."""

import os
import secrets
from pathlib import Path

import aiohttp
import msgspec

DEPOSITS = {"maker": "10000000", "alice": "100000", "bob": "100000", "carol": "2500"}


class Credential(msgspec.Struct, frozen=True):
    """What a person types to log in."""

    email: str
    password: str


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


async def seed_users(session: aiohttp.ClientSession, data: Path) -> dict[str, str]:
    """Register, log in and fund every demo user; repeating it changes nothing. Returns their tokens by name."""
    return {name: await _seed(session, name, one) for name, one in credentials(data).items()}


async def log_in(session: aiohttp.ClientSession, one: Credential) -> str:
    """A token for a demo user; raises aiohttp.ClientResponseError before they are registered."""
    async with session.post("/auth/login", json={"email": one.email, "password": one.password}) as answer:
        answer.raise_for_status()
        return str((await answer.json())["token"])


async def _seed(session: aiohttp.ClientSession, name: str, one: Credential) -> str:
    body = {"email": one.email, "password": one.password}
    async with session.post("/auth/register", json=body) as answer:
        if answer.status != 409:
            answer.raise_for_status()
    token = await log_in(session, one)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "demo-seed"}
    async with session.post("/deposits", json={"asset": "USDC", "amount": DEPOSITS[name]}, headers=headers) as answer:
        answer.raise_for_status()
    return token
