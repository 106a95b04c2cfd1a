"""Group commit of orders and cancels: one transaction for all waiting requests (docs/design.md, "Submission")."""

from store.submission.requests import (
    Answer,
    CancelPlaced,
    Placed,
    SubmissionRequest,
    SubmitCancel,
    SubmitOrder,
)
from store.submission.submitter import BATCH_MAX, Submission

__all__ = [
    "BATCH_MAX",
    "Answer",
    "CancelPlaced",
    "Placed",
    "Submission",
    "SubmissionRequest",
    "SubmitCancel",
    "SubmitOrder",
]
