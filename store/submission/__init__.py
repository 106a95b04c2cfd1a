"""Group commit of orders and cancels: one transaction for all waiting requests (docs/design.md, "Submission")."""

from store.submission.requests import (
    AmendPlaced,
    Answers,
    CancelPlaced,
    CountdownSet,
    CountdownsSet,
    OneOutcome,
    OneRequest,
    Placed,
    SeveralRequest,
    SubmissionOutcome,
    SubmissionRequest,
    SubmitAmend,
    SubmitCancel,
    SubmitCancelAll,
    SubmitCountdown,
    SubmitGroup,
    SubmitOrder,
)
from store.submission.submitter import BATCH_MAX, Submission

__all__ = [
    "BATCH_MAX",
    "AmendPlaced",
    "Answers",
    "CancelPlaced",
    "CountdownSet",
    "CountdownsSet",
    "OneOutcome",
    "OneRequest",
    "Placed",
    "SeveralRequest",
    "Submission",
    "SubmissionOutcome",
    "SubmissionRequest",
    "SubmitAmend",
    "SubmitCancel",
    "SubmitCancelAll",
    "SubmitCountdown",
    "SubmitGroup",
    "SubmitOrder",
]
