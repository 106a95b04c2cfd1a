"""Idempotency keys: a request with a key is executed once, and its answer is kept forever.

Exception
└── KeyTaken              another transaction used the key first
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from schemas.refusals import ErrorCode, Refused
from schemas.units import Timestamp, datetime_of
from store.session.connect import Session

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_RECALL = "SELECT request_hash, response FROM idempotency_keys WHERE user_id = $1 AND key = $2"
_REMEMBER = """
INSERT INTO idempotency_keys (user_id, key, request_hash, response, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING 1
"""


class Claim(NamedTuple):
    """A caller's idempotency key, None if the request has none, and a digest of the request."""

    owner: int
    key: str | None
    digest: bytes
    at: Timestamp


class KeyTaken(Exception):
    """Another transaction used the key first: roll back and read its answer."""


def claim(owner: int, key: str | None, asked: Sequence[str | int], at: Timestamp) -> Claim | Refused:
    """A claim on a key; two requests are the same when their decoded contents are. Refused: INVALID_REQUEST."""
    if key is not None and _KEY.fullmatch(key) is None:
        message = "Idempotency-Key must be 1 to 255 visible ASCII characters"
        return Refused(ErrorCode.INVALID_REQUEST, message, {"field": "Idempotency-Key"})
    return Claim(owner, key, blake2b(msgspec.json.encode(asked), digest_size=16).digest(), at)


async def recall(session: Session, claimed: Claim) -> bytes | Refused | None:
    """The earlier answer to the key; None when the key is new. Refused: IDEMPOTENCY_CONFLICT when the request differs."""
    if claimed.key is None:
        return None
    row = await session.fetchrow(_RECALL, claimed.owner, claimed.key)
    if row is None:
        return None
    if row["request_hash"] != claimed.digest:
        return Refused(ErrorCode.IDEMPOTENCY_CONFLICT, "the Idempotency-Key was used with another request")
    answer: bytes = row["response"]
    return answer


async def remember(session: Session, claimed: Claim, answer: bytes) -> None:
    """Store the answer in the transaction that executes the request; raises KeyTaken."""
    if claimed.key is None:
        return
    arguments = (claimed.owner, claimed.key, claimed.digest, answer, datetime_of(claimed.at))
    if not await session.fetchval(_REMEMBER, *arguments):
        raise KeyTaken
