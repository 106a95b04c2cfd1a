"""Verify: a market replayed from its command log and compared with everything that was written because of it."""

from agents.verify.report import Difference, Report
from agents.verify.verification import verify

__all__ = ["Difference", "Report", "verify"]
