"""Traders with a position on a listening exchange, its index, and what the books say about their margin."""

from exchange.risk.account import MarginAccount
from exchange.risk.margin import equity, initial_margin
from schemas.commands import SetIndex
from schemas.units import Nanos
from store.audit.audit import audit
from store.command_log.commands import append_command
from store.margin_accounts import read_account
from tests.api.exchange import Client, Exchange, Reply, now


async def long_from(exchange: Exchange, deposit: str, quantity: str, price: str = "60000") -> tuple[Client, Client]:
    """A trader who is long, and the rich one who sold to them."""
    trader, rich = await exchange.user(deposit), await exchange.user("100000000")
    assert (await trader.order(quantity=quantity, price=price)).status == 202
    assert (await rich.order(side="SELL", quantity=quantity, price=price)).status == 202
    await exchange.run_engine()
    return trader, rich


async def market(client: Client, side: str, quantity: str, **fields: object) -> Reply:
    """A market order."""
    return await client.order(type="MARKET", price=None, side=side, quantity=quantity, **fields)


async def close(client: Client, name: str = "BTC-PERP") -> Reply:
    """Close a position."""
    return await client.call("POST", f"/positions/{name}/close")


async def move_index(exchange: Exchange, price: int, name: str = "BTC-PERP") -> None:
    """Move the constant index of a market, and with it the mark."""
    await append_command(await exchange.kept("index"), name, SetIndex(now(), Nanos(price * 10**9)))
    await exchange.run_engine()


async def account_of(exchange: Exchange, client: Client) -> MarginAccount:
    """The trader's account as the database has it."""
    account = await read_account(await exchange.kept("accounts"), client.user)
    assert account is not None
    return account


async def findings_of(exchange: Exchange) -> list[object]:
    """What the audit finds."""
    return list(await audit(await exchange.kept("audit")))


def spare(account: MarginAccount) -> int:
    """Equity less the initial margin of the positions alone, micros."""
    risks = account.exposures.values()
    held = [(r.market.spec, r.exposure.leverage, abs(r.market.spec.notional(r.market.mark, r.lots))) for r in risks]
    return equity(account) - sum(initial_margin(*each) for each in held)
