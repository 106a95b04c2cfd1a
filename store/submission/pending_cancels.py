"""How many cancels of an account are under way: until they are done, their orders keep their margin."""

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from schemas.refusals import ErrorCode, Refused
from store.session.connect import Session
from store.submission.requests import PartRequest, SubmissionOutcome

_READ = """
SELECT user_id, count(*) AS cancels FROM orders
WHERE user_id = ANY($1::int8[]) AND (is_live OR (is_waiting AND reduce_only)) AND cancel_seq IS NOT NULL GROUP BY user_id
"""


async def read_pending_cancels(session: Session, users: Collection[int]) -> dict[int, int]:
    """The orders that count for margin with a cancel under way, per user that has any; reads nothing for no users.

    Of those that wait, the reduce-only ones do.
    """
    if not users:
        return {}
    return {row["user_id"]: row["cancels"] for row in await session.fetch(_READ, sorted(users))}


def is_short_of_margin(outcome: object) -> bool:
    """Whether this is a refusal for the margin."""
    return isinstance(outcome, Refused) and outcome.code is ErrorCode.INSUFFICIENT_MARGIN


async def explained_refusal(session: Session, user: int, refused: Refused) -> Refused:
    """A refusal of one request; one for the margin with the number of the user's cancels under way."""
    if not is_short_of_margin(refused):
        return refused
    return _with_pending_cancels(refused, (await read_pending_cancels(session, [user])).get(user, 0))


def _with_pending_cancels(refused: Refused, cancels: int) -> Refused:
    """The refusal with their number."""
    return replace(refused, details={**(refused.details or {}), "pendingCancels": cancels})


def explained(
    batch: Sequence[PartRequest], answers: Sequence[SubmissionOutcome], pending: Mapping[int, int]
) -> list[SubmissionOutcome]:
    """The answers, each refusal for the margin with the number of its user's cancels under way."""
    return [
        _with_pending_cancels(answer, pending.get(request.user, 0))
        if isinstance(answer, Refused) and is_short_of_margin(answer)
        else answer
        for request, answer in zip(batch, answers, strict=True)
    ]
