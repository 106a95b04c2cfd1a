"""Whether the books balance: the sums of now, and what audits and verifications have found."""

from typing import Any

import msgspec

from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.operating.console import AuditRunView, ConservationView, VerificationView
from schemas.units import Micros, Timestamp, datetime_of, format_micros, format_timestamp
from store.audit.live_audit import read_sums
from store.queries.by_id import page_by_id
from store.queries.formatting import storable, time_text
from store.queries.paging import Conditions, ListRequest
from store.session.connect import Session

_AUDITS = "SELECT audit_id, at, took_ms, difference, findings::text AS findings FROM audit_runs WHERE "
_VERIFICATIONS = """
SELECT v.verification_id, v.at, v.took_ms, v.report::text AS report, m.name FROM verifications v JOIN markets m USING (market_id) WHERE
"""
_KEEP = """
INSERT INTO verifications (market_id, at, took_ms, report) SELECT market_id, $2, $3, $4::jsonb FROM markets WHERE name = $1
"""
SIZES = "sizes sum to zero"


async def read_conservation(session: Session, now: Timestamp) -> ConservationView:
    """The sums of the exchange, in one snapshot."""
    sums, wrong = await read_sums(session)

    def money(value: Any) -> str:
        return format_micros(Micros(int(value)))

    return ConservationView(
        time=format_timestamp(now),
        wallets=money(sums.wallets),
        fees=money(sums.fees),
        insurance=money(sums.insurance),
        open_costs=money(sums.costs),
        paid_in=money(-sums.external),
        difference=money(sums.difference),
        clearing=money(sums.clearing),
        clearing_difference=money(sums.clearing + sums.costs),
        wallet_difference=money(sums.wallets - sums.users),
        size_differences={each.subject: each.got for each in wrong if each.invariant == SIZES},
    )


async def list_audits(session: Session, request: ListRequest) -> Page[AuditRunView] | Refused:
    """A page of the runs of the periodic audit, filtered by period."""
    where = Conditions("true")
    where.add_period("at", request)
    return await page_by_id(session, _AUDITS, where, request, id_column="audit_id", view=_audit_view)


async def keep_verification(session: Session, market: str, report: Any, took_ms: int, now: Timestamp) -> None:
    """Keep what `verify` found."""
    await session.execute(_KEEP, market, datetime_of(now), took_ms, msgspec.json.encode(report).decode())


async def list_verifications(session: Session, request: ListRequest) -> Page[VerificationView] | Refused:
    """A page of the runs of `verify`, filtered by market and period."""
    where = Conditions("true")
    where.add_period("v.at", request)
    if request.market_id is not None:
        where.add("m.name = {}", storable(request.market_id))
    return await page_by_id(
        session, _VERIFICATIONS, where, request, id_column="v.verification_id", view=_verification_view
    )


def _audit_view(row: Any) -> AuditRunView:
    return AuditRunView(
        audit_id=str(row["audit_id"]),
        time=time_text(row["at"]),
        took_ms=row["took_ms"],
        difference=format_micros(Micros(int(row["difference"]))),
        findings=msgspec.json.decode(row["findings"]),
    )


def _verification_view(row: Any) -> VerificationView:
    report = msgspec.json.decode(row["report"])
    return VerificationView(
        verification_id=str(row["verification_id"]),
        market_id=row["name"],
        time=time_text(row["at"]),
        took_ms=row["took_ms"],
        differences_found=report["differencesFound"],
        report=report,
    )
