"""The market file of an operator: decimals as strings, names as in `GET /markets`.

Of a listed market it may have some of the fields only: the others stay as they are.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import inspect

from api.body_words import expected, misfit_of
from schemas.market import MarketSpec
from schemas.rest.bodies import EXPECTED
from schemas.risk_tiers import RiskTier
from schemas.units import (
    E18,
    MICRO_E18,
    NANO_E18,
    Lots,
    Micros,
    Nanos,
    Ppm,
    format_e18,
    format_micros,
    format_ppm,
    parse_decimal_e18,
    parse_whole_units,
)
from schemas.wire import UNDECODABLE

_NAME = re.compile(r"[A-Z0-9]{1,16}-PERP")
_PPM_E18 = MICRO_E18
_CHANGEABLE = frozenset({"risk_tiers", "max_open_interest"})
_Decimal = Annotated[str, msgspec.Meta(extra={EXPECTED: 'a decimal string like "0.001"'})]


class MarketFileRefused(Exception):
    """A market file that cannot be read; `faults` are sentences for the operator."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class TierInFile(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A risk tier (docs/semantics.md, "Risk tiers")."""

    notional_up_to: _Decimal
    initial_margin_rate: _Decimal
    maintenance_margin_rate: _Decimal
    max_leverage: int


class MarketFile(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The parameters of a market; defaults are those of the seed markets (docs/semantics.md, "Units")."""

    id: str
    tick_size: _Decimal
    lot_size: _Decimal
    max_quantity: _Decimal
    reference_price: _Decimal
    quote_asset: str = "USDC"
    min_quantity: _Decimal | None = None
    min_notional: _Decimal = "5"
    max_open_orders: int = 500
    max_conditional_orders: int = 50
    max_leverage: int = 20
    initial_margin_rate: _Decimal = "0.05"
    maintenance_margin_rate: _Decimal = "0.005"
    maker_fee_rate: _Decimal = "0.0002"
    taker_fee_rate: _Decimal = "0.0005"
    price_band: _Decimal = "0.1"
    take_bound: _Decimal = "0.01"
    mark_clamp: _Decimal = "0.02"
    liquidation_fee_rate: _Decimal = "0.0025"
    funding_interval_hours: int = 8
    funding_rate_cap: _Decimal = "0.00375"
    risk_tiers: list[TierInFile] = []
    max_open_interest: _Decimal = "0"


def read_market_file(body: bytes) -> MarketSpec:
    """The specification in a JSON file; raises MarketFileRefused. `spec_faults` checks whether it is a valid market."""
    try:
        written = msgspec.json.decode(body, type=MarketFile)
    except UNDECODABLE as error:
        raise MarketFileRefused(_form_faults(body) or ["the file must be one JSON object in UTF-8"]) from error
    reading = _Reading(written)
    spec = reading.spec()
    if reading.faults:
        raise MarketFileRefused(reading.faults)
    return spec


def read_market_changes(body: bytes, spec: MarketSpec) -> MarketSpec:
    """The specification of a listed market with the fields of a file in place of its own; raises MarketFileRefused.

    Only risk tiers and limits may differ.
    """
    try:
        changes = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except UNDECODABLE as error:
        raise MarketFileRefused(["the file must be one JSON object in UTF-8"]) from error
    before = _file_of(spec)
    changed = read_market_file(msgspec.json.encode(msgspec.to_builtins(before) | changes))
    after = _file_of(changed)
    fixed = [
        field.encode_name
        for field in msgspec.structs.fields(MarketFile)
        if field.name not in _CHANGEABLE and getattr(before, field.name) != getattr(after, field.name)
    ]
    if fixed:
        raise MarketFileRefused([f"{name} of a listed market never changes" for name in fixed])
    return changed


def _file_of(spec: MarketSpec) -> MarketFile:
    """The file that describes this market in full."""
    return MarketFile(
        id=spec.market,
        tick_size=format_e18(spec.tick_size_e18),
        lot_size=format_e18(spec.lot_size_e18),
        max_quantity=format_e18(spec.quantity_max * spec.lot_size_e18),
        reference_price=format_e18(spec.reference_price * NANO_E18),
        quote_asset=spec.quote_asset,
        min_quantity=format_e18(spec.quantity_min * spec.lot_size_e18),
        min_notional=format_micros(spec.notional_min),
        max_open_orders=spec.orders_max,
        max_conditional_orders=spec.conditional_orders_max,
        max_leverage=spec.leverage_max,
        initial_margin_rate=format_ppm(spec.initial_margin_rate),
        maintenance_margin_rate=format_ppm(spec.maintenance_margin_rate),
        maker_fee_rate=format_ppm(spec.maker_fee_rate),
        taker_fee_rate=format_ppm(spec.taker_fee_rate),
        price_band=format_ppm(spec.price_band),
        take_bound=format_ppm(spec.take_bound),
        mark_clamp=format_ppm(spec.mark_clamp),
        liquidation_fee_rate=format_ppm(spec.liquidation_fee_rate),
        funding_interval_hours=spec.funding_interval_hours,
        funding_rate_cap=format_ppm(spec.funding_rate_cap),
        risk_tiers=[
            TierInFile(
                format_micros(tier.notional_up_to),
                format_ppm(tier.initial_margin_rate),
                format_ppm(tier.maintenance_margin_rate),
                tier.leverage_max,
            )
            for tier in spec.risk_tiers
        ],
        max_open_interest=format_micros(spec.open_interest_max),
    )


def _form_faults(body: bytes) -> list[str]:
    """The faults of single fields: unknown, missing, or of the wrong type; empty when the file as a whole is malformed."""
    try:
        written = msgspec.json.decode(body, type=dict[str, Any])
    except UNDECODABLE:
        return []
    known = {field.encode_name: field for field in msgspec.structs.fields(MarketFile)}
    unknown = [f"unknown field {name[:40]!r}" for name in written if name not in known]
    missing = [f"{name} is missing" for name, field in known.items() if field.required and name not in written]
    mistyped = [fault for name in known if name in written for fault in _type_faults(known[name], written)]
    return unknown + missing + mistyped


def _type_faults(field: msgspec.structs.FieldInfo, written: dict[str, Any]) -> list[str]:
    try:
        msgspec.convert(written[field.encode_name], type=field.type)
    except msgspec.ValidationError as error:
        if isinstance(written[field.encode_name], list):
            return [f"{field.encode_name}{misfit_of(field.type, error).message}"]
        return [f"{field.encode_name} must be {expected(inspect.type_info(field.type))}"]
    return []


class _Reading:
    """Parses the strings of a file, and collects their faults."""

    def __init__(self, written: MarketFile) -> None:
        self._written = written
        self.faults: list[str] = []

    def spec(self) -> MarketSpec:
        written = self._written
        if not _NAME.fullmatch(written.id):
            self.faults.append("id must be 1 to 16 capital letters or digits, and -PERP")
        if not 1 <= written.max_open_orders <= 10_000:
            self.faults.append("1 <= maxOpenOrders <= 10000")
        if not 1 <= written.max_conditional_orders <= 1_000:
            self.faults.append("1 <= maxConditionalOrders <= 1000")
        lot_e18 = self._units("lotSize", written.lot_size, 1)
        lots_max = self._units("maxQuantity", written.max_quantity, lot_e18 or 1)
        lots_min = self._units("minQuantity", written.min_quantity or written.lot_size, lot_e18 or 1)
        return MarketSpec(
            market=written.id,
            base_asset=written.id.removesuffix("-PERP"),
            quote_asset=written.quote_asset,
            tick_size_e18=self._units("tickSize", written.tick_size, 1),
            lot_size_e18=lot_e18,
            quantity_min=Lots(lots_min),
            quantity_max=Lots(lots_max),
            notional_min=Micros(self._units("minNotional", written.min_notional, MICRO_E18)),
            orders_max=written.max_open_orders,
            leverage_max=written.max_leverage,
            initial_margin_rate=self._rate("initialMarginRate", written.initial_margin_rate),
            maintenance_margin_rate=self._rate("maintenanceMarginRate", written.maintenance_margin_rate),
            maker_fee_rate=self._rate("makerFeeRate", written.maker_fee_rate),
            taker_fee_rate=self._rate("takerFeeRate", written.taker_fee_rate),
            price_band=self._rate("priceBand", written.price_band),
            take_bound=self._rate("takeBound", written.take_bound),
            mark_clamp=self._rate("markClamp", written.mark_clamp),
            liquidation_fee_rate=self._rate("liquidationFeeRate", written.liquidation_fee_rate),
            funding_interval_hours=written.funding_interval_hours,
            funding_rate_cap=self._rate("fundingRateCap", written.funding_rate_cap),
            reference_price=Nanos(self._units("referencePrice", written.reference_price, NANO_E18)),
            conditional_orders_max=written.max_conditional_orders,
            risk_tiers=tuple(self._tier(place, tier) for place, tier in enumerate(written.risk_tiers)),
            open_interest_max=Micros(self._units("maxOpenInterest", written.max_open_interest, MICRO_E18)),
        )

    def _tier(self, place: int, tier: TierInFile) -> RiskTier:
        name = f"riskTiers[{place}]"
        return RiskTier(
            notional_up_to=Micros(self._units(f"{name}.notionalUpTo", tier.notional_up_to, MICRO_E18)),
            initial_margin_rate=self._rate(f"{name}.initialMarginRate", tier.initial_margin_rate),
            maintenance_margin_rate=self._rate(f"{name}.maintenanceMarginRate", tier.maintenance_margin_rate),
            leverage_max=tier.max_leverage,
        )

    def _units(self, name: str, text: str, unit_e18: int) -> int:
        value = parse_whole_units(text, unit_e18)
        if value is None:
            self.faults.append(f"{name} is not a decimal number of whole units: {text[:40]!r}")
        return value or 0

    def _rate(self, name: str, text: str) -> Ppm:
        """A rate in parts per million; a rebate is negative."""
        value = parse_decimal_e18(text.removeprefix("-"))
        if value is None or value > E18 or value % _PPM_E18:
            self.faults.append(f"{name} is not a rate with at most 6 decimals: {text[:40]!r}")
            return Ppm(0)
        return Ppm(-(value // _PPM_E18) if text.startswith("-") else value // _PPM_E18)
