"""Group commit of orders and cancels: one transaction carries everyone who waits (docs/design.md, "Submission")."""

from store.submission.requests import (
    Answer,
    CancelOrder,
    CancelPlaced,
    Placed,
    PlaceOrder,
    SubmissionRequest,
)
from store.submission.submitter import BATCH_MAX, Submission

__all__ = [
    "BATCH_MAX",
    "Answer",
    "CancelOrder",
    "CancelPlaced",
    "PlaceOrder",
    "Placed",
    "Submission",
    "SubmissionRequest",
]
