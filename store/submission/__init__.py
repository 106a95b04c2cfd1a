"""Group commit of orders and cancels: one transaction for all waiting requests (docs/design.md, "Submission")."""

from store.submission.requests import (
    AmendPlaced,
    CancelPlaced,
    Placed,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitAmend,
    SubmitCancel,
    SubmitOrder,
)
from store.submission.submitter import BATCH_MAX, Submission

__all__ = [
    "BATCH_MAX",
    "AmendPlaced",
    "CancelPlaced",
    "Placed",
    "Submission",
    "SubmissionOutcome",
    "SubmissionRequest",
    "SubmitAmend",
    "SubmitCancel",
    "SubmitOrder",
]
