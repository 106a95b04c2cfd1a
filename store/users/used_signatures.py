"""Signatures that were used: each changes something once, whichever process it reaches."""

from schemas.units import Timestamp, datetime_of
from store.session.connect import Session

_USE = "INSERT INTO used_signatures (signature, used_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"
_FORGET = "DELETE FROM used_signatures WHERE used_at < $1"


async def use_signature(session: Session, signature: bytes, at: Timestamp) -> bool:
    """Whether this is the first use of the signature; it is one from now on."""
    return await session.fetchval(_USE, signature, datetime_of(at)) is not None


async def forget_signatures(session: Session, before: Timestamp) -> None:
    """Drop those that were used before this time: their own time is refused by now."""
    await session.execute(_FORGET, datetime_of(before))
