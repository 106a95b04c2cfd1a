"""How far back a market can be replayed: to the oldest state from which its command log is complete."""

from collections.abc import Iterable

from agents.verify.digests import Digests
from agents.verify.known_snapshots import KnownSnapshot
from agents.verify.report import Report
from exchange.engine.log.snapshot_format import load
from exchange.engine.market import Market, empty_market
from store.markets.progress import MarketProgress


def choose_start(
    report: Report, progress: MarketProgress, commands: Digests, snapshots: Iterable[KnownSnapshot]
) -> Market | None:
    """The market at the horizon, which is written to the report; None if the log is incomplete after every state."""
    whole_after = _whole_after(commands, progress.command_seq)
    if commands.first and commands.first <= whole_after:
        report.differs(f"command {report.market}:{whole_after}", "in the log", "missing")
    if whole_after == 0:
        report.horizon = "genesis"
        return empty_market(report.market)
    candidates = [
        known
        for known in snapshots
        if known.state is not None and known.command_seq >= whole_after and known.event_seq <= progress.event_seq
    ]
    if not candidates:
        report.differs(f"command {report.market}:{whole_after}", "in the log or covered by a snapshot", "neither")
        return None
    oldest = min(candidates, key=lambda known: known.command_seq)
    report.horizon = f"the snapshot in {oldest.source} after command {oldest.command_seq}"
    report.from_command = oldest.command_seq
    return load(oldest.state or b"")


def _whole_after(commands: Digests, last: int) -> int:
    """The lowest sequence after which every command up to `last` is in the log."""
    seq = last
    while seq > 0 and commands.get(seq) is not None:
        seq -= 1
    return seq
