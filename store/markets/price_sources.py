"""The price sources of a market's index, as its log has set them, and the reports of what they see."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas.commands import ReportPrice, ReportPrices, SourcePrice
from schemas.market import PriceSource
from schemas.units import datetime_of
from schemas.wire import encode
from store.command_log.commands import MARKETS_IN_PLACES, in_places
from store.session.connect import Session

_APPEND_REPORTS = f"""
WITH numbered AS MATERIALIZED (
  SELECT n.place, n.market_id, n.command_seq, n.at
  FROM number_commands({MARKETS_IN_PLACES}, $2::timestamptz[], $3::bytea[], $4::int8[]) n),
noted AS (
  INSERT INTO price_reports (market_id, source, observed_at)
  SELECT n.market_id, s.source, least(s.observed_at, n.at)
  FROM unnest($5::int8[], $6::text[], $7::timestamptz[]) AS s (place, source, observed_at) JOIN numbered n USING (place)
  ON CONFLICT (market_id, source) DO UPDATE SET observed_at = excluded.observed_at)
SELECT place, command_seq FROM numbered
"""  # noqa: S608 - a constant of ours


class IndexSources(msgspec.Struct, frozen=True):
    """The sources of an index, how many of them must be fresh, and the rules of its market. No sources: the index is constant."""

    sources: tuple[PriceSource, ...]
    quorum: int
    rules: int

    def age_max_us(self, source: str) -> int | None:
        """How old the price of this source may be, in microseconds; None if it is no source of this index."""
        return next((each.max_age_ms * 1_000 for each in self.sources if each.name == source), None)


class AddressedReport(NamedTuple):
    """A report for a market, to be appended only when the market is persisted up to command `passed`."""

    market: str
    command: ReportPrice | ReportPrices
    passed: int

    @property
    def prices(self) -> tuple[SourcePrice, ...]:
        """What it reports, each source once."""
        command = self.command
        if isinstance(command, ReportPrices):
            return command.prices
        return (SourcePrice(command.source, command.price, command.observed_at),)


async def read_index_sources(session: Session) -> dict[str, IndexSources]:
    """The sources of every market, by name."""
    return {
        row["name"]: IndexSources(
            msgspec.json.decode(row["price_sources"], type=tuple[PriceSource, ...]), row["price_quorum"], row["rules"]
        )
        for row in await session.fetch(
            "SELECT name, price_sources, price_quorum, rules FROM markets ORDER BY market_id"
        )
    }


async def append_reports(session: Session, reports: Sequence[AddressedReport]) -> list[int | None]:
    """Append reports for any number of markets in one round trip; returns the sequence of each, None for one left out.

    The same are left out as by `append_commands`. Notes until when the sources are fresh, for the clock.
    """
    if not reports:
        return []
    seen = [(place, price) for place, report in enumerate(reports, 1) for price in report.prices]
    rows = await session.fetch(
        _APPEND_REPORTS,
        [report.market for report in reports],
        [datetime_of(report.command.at) for report in reports],
        [encode(report.command) for report in reports],
        [report.passed for report in reports],
        [place for place, _ in seen],
        [price.source for _, price in seen],
        [datetime_of(price.observed_at) for _, price in seen],
    )
    return in_places(rows, len(reports))
