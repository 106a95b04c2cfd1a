"""Commands that inspect: is everything matched, do the sums hold, how is each market."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import asyncpg
import click
import msgspec

from app.cli.output import end_at_ctrl_c, json_option, remark, say, show, status_colour
from app.cli.screen.completion import MARKET
from app.cli.screen.terminal import ProgressLine
from app.cli.sending import reason_option
from app.operator import audit_books, drain_markets, last_audit, market_states, now, processes, record_drain
from app.settings import Settings, load_settings, resolve_local
from app.unreachable import DATABASE_OUT_OF_REACH, unreachable
from schemas.market import MarketStatus
from schemas.rest.drains import Drained
from schemas.units import SECOND_US
from store.queries.operations.health import AuditRun

BEHIND_MAX_S = 10
BEHIND_SOON_S = 1
AUDITED_WITHIN_S = 120
WATCH_EVERY_S = 2.0
STATUS_COLUMNS = (
    "market",
    "status",
    "behind_s",
    "behind",
    "halted",
    "rests",
    "mark",
    "owner",
    "shard",
    "rules",
    "commands",
    "events",
)
"""The most important first: a narrow terminal leaves out the last ones."""
WORKER_COLUMNS = ("process", "at", "works_for", "metrics")


@click.command()
@click.option("--market", type=MARKET, help="Only this market.")
@reason_option
@json_option
def drain(market: str | None, reason: str | None, as_json: bool) -> None:
    """Wait until everything accepted so far is matched and persisted."""
    drained = asyncio.run(_drain(resolve_local(load_settings()), market, reason))
    if drained is None:
        raise click.ClickException("not drained within 30 s")
    if market in drained.skipped:
        raise click.ClickException(f"{market} is not drained: the exchange has halted it")
    rows = [msgspec.to_builtins(row) for row in drained.markets]
    show(rows, as_json, empty="no market is left to drain")
    if drained.skipped:
        click.echo(f"skipped, halted by the exchange: {', '.join(drained.skipped)}", err=True)


async def _drain(settings: Settings, market: str | None, reason: str | None) -> Drained | None:
    drained = await drain_markets(settings, market)
    await record_drain(settings, market, drained, reason)
    return drained


@click.command()
@click.option("--deep", is_flag=True, help="Also recompute every fee, profit, position, funding and wallet.")
@json_option
def audit(deep: bool, as_json: bool) -> None:
    """Check every sum that must hold; exit 1 when one does not."""
    with ProgressLine() as progress:
        findings = asyncio.run(audit_books(resolve_local(load_settings()), is_deep=deep, advance=progress))
    balanced = "the books are balanced: conservation, sizes, wallets, margin sums and trades hold exactly"
    show([finding._asdict() for finding in findings], as_json, empty=balanced, paint=lambda _row, _name: "red")
    if findings:
        sys.exit(1)
    if deep and not as_json:
        click.echo("recomputed from fills, fundings, ledger and prices: everything agrees to the micro")


@click.command()
@click.option("--workers", is_flag=True, help="The processes instead: where each runs, its metrics, and its markets.")
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until Ctrl-C.")
@json_option
def status(workers: bool, watch: bool, as_json: bool) -> None:
    """Show every market at a glance; exit 1 when one has commands that have waited for more than 10 s."""
    settings = resolve_local(load_settings())
    look = partial(_workers if workers else _markets, settings)
    if watch:
        _keep_showing(look, as_json)
    page = asyncio.run(look())
    page.show(as_json)
    if any(row.get("behind_s", 0) > BEHIND_MAX_S for row in page.rows):
        sys.exit(1)


@dataclass(frozen=True)
class _Page:
    """What `status` shows: rows for programs and people, and a sentence for people."""

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[str]
    empty: str
    remark: tuple[str, str | None] | None = None

    def show(self, as_json: bool) -> None:
        """Print it."""
        show(self.rows, as_json, empty=self.empty, columns=self.columns, paint=_colour_of)
        if self.remark and not as_json:
            text, fg = self.remark
            remark(text, fg)


async def _markets(settings: Settings) -> _Page:
    rows, audited = await market_states(settings), await last_audit(settings)
    return _Page(rows, STATUS_COLUMNS, "no market is listed", _remark(audited, int(now())))


async def _workers(settings: Settings) -> _Page:
    return _Page(await processes(settings), WORKER_COLUMNS, "no process of the exchange is running")


def _remark(audited: AuditRun | None, at: int) -> tuple[str, str | None]:
    """What the periodic audit found last, and its colour."""
    if audited is None:
        return "audit: none yet", "yellow"
    age_s = max(0, at - audited.at) // SECOND_US
    if audited.difference or audited.findings:
        found = f"difference {audited.difference} micros, {audited.findings} findings; `audit` shows them"
        return f"audit: {found} ({age_s} s ago)", "red"
    return f"audit: no differences ({age_s} s ago)", "yellow" if age_s > AUDITED_WITHIN_S else None


def _colour_of(row: Mapping[str, object], name: str) -> str | None:
    """Red for what needs the operator now: halted, far behind, without an owner. Yellow for what may soon."""
    value = row[name]
    match name:
        case "status":
            return status_colour(row, name)
        case "halted":
            return "red" if value else None
        case "owner":
            return None if value or row["status"] == MarketStatus.SETTLED else "red"
        case "behind" | "behind_s":
            behind_s = float(str(row["behind_s"]))
            return "red" if behind_s > BEHIND_MAX_S else "yellow" if behind_s > BEHIND_SOON_S else None
    return None


def _keep_showing(look: Callable[[], Coroutine[None, None, _Page]], as_json: bool) -> NoReturn:
    """Show it until Ctrl-C; during a database outage, show the error."""
    end_at_ctrl_c()
    while True:
        try:
            page, trouble = asyncio.run(look()), ""
        except (*DATABASE_OUT_OF_REACH, asyncpg.PostgresError) as error:
            page, trouble = None, unreachable(error)
        if not as_json:
            click.clear()
            say(f"{time.strftime('%H:%M:%S')}  {trouble}", "red" if trouble else None)
        if page:
            page.show(as_json)
        elif as_json:
            click.echo("[]")
        time.sleep(WATCH_EVERY_S)
