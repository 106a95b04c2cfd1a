"""Commands of operators to markets: into the log of the market and into the log of operators, in one transaction."""

from typing import Any, NamedTuple, assert_never

import msgspec

from schemas.commands import SetIndex, SetPriceSources, SetRules, SetSpec, SetStatus
from schemas.ids import public_command_id
from schemas.market import PriceSource
from schemas.rest.operating.acts import Action, ActView
from schemas.units import Nanos
from store.command_log.commands import MarketUnknown, append_command
from store.operators.acts import Act, Operator, record_act
from store.queries.formatting import index_text, spec_of, storable
from store.session.connect import Session

MarketCommand = SetStatus | SetIndex | SetSpec | SetRules | SetPriceSources
"""What operators send to a market."""

_READ = """
SELECT operator_status, index_price, rules, spec::text AS spec, price_sources::text AS sources, price_quorum FROM markets
WHERE name = $1
"""
_ACTIONS: dict[type[MarketCommand], Action] = {
    SetStatus: Action.SET_STATUS,
    SetIndex: Action.SET_INDEX,
    SetSpec: Action.SET_SPEC,
    SetRules: Action.SET_RULES,
    SetPriceSources: Action.SET_PRICE_SOURCES,
}


class Commanded(NamedTuple):
    """A command in the log of its market, by its sequence, and its entry in the log of operators."""

    seq: int
    act: ActView


async def command_market(
    session: Session, operator: Operator, market: str, command: MarketCommand, reason: str | None
) -> Commanded:
    """Append the command, and record who sent it. Raises MarketUnknown."""
    async with session.transaction():
        row = await session.fetchrow(_READ, storable(market))
        if row is None:
            raise MarketUnknown(market)
        seq = await append_command(session, market, command)
        after = _shown(command) | {"commandId": public_command_id(market, seq)}
        act = Act(_ACTIONS[type(command)], _shown(_as_it_is(row, command)), after, market=market, reason=reason)
        return Commanded(seq, await record_act(session, operator, act, command.at))


def _as_it_is(row: Any, command: MarketCommand) -> MarketCommand:
    """The command that would change nothing now."""
    match command:
        case SetStatus():
            return msgspec.structs.replace(command, status=row["operator_status"])
        case SetIndex():
            return msgspec.structs.replace(command, index=Nanos(row["index_price"]))
        case SetRules():
            return msgspec.structs.replace(command, rules=row["rules"])
        case SetSpec():
            spec = spec_of(row["spec"])
            return SetSpec(command.at, spec.risk_tiers, spec.open_interest_max)
        case SetPriceSources():
            sources = msgspec.json.decode(row["sources"], type=tuple[PriceSource, ...])
            return SetPriceSources(command.at, sources, row["price_quorum"])
        case _:
            assert_never(command)


def _shown(command: MarketCommand) -> dict[str, Any]:
    """What the command sets, in the units of the log; an index as a decimal."""
    if isinstance(command, SetIndex):
        return {"indexPrice": index_text(command.index)}
    fields: dict[str, Any] = msgspec.to_builtins(command)
    return {name: value for name, value in fields.items() if name not in ("type", "at", "v")}
