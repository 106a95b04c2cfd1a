"""Group commit of orders and cancels: one transaction for all waiting requests (docs/design.md, "Submission")."""

from store.submission.requests import (
    CancelPlaced,
    Placed,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitCancel,
    SubmitOrder,
)
from store.submission.submitter import BATCH_MAX, Submission

__all__ = [
    "BATCH_MAX",
    "CancelPlaced",
    "Placed",
    "Submission",
    "SubmissionOutcome",
    "SubmissionRequest",
    "SubmitCancel",
    "SubmitOrder",
]
