"""`user …`: the accounts of users, looked up and acted on; `acts`: the log of what operators did."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from app.cli.output import json_option, show
from app.cli.screen.commands import Commands
from app.cli.screen.completion import MARKET
from app.operator import now, session_of, shell_operator
from app.settings import load_settings, resolve_local
from schemas.ids import user_id_of
from schemas.refusals import Refused
from schemas.rest.bodies import Page
from schemas.rest.operating.acts import ActView, CorrectionRequest
from schemas.units import Timestamp
from store.operators.acts import Operator, list_acts
from store.operators.corrections import correct
from store.operators.freezing import freeze, unfreeze
from store.operators.rights import Kept, end_sessions, remove_totp, revoke_admin, revoke_keys
from store.queries.accounts.adl import AdlRanks
from store.queries.accounts.balances import ASSET
from store.queries.accounts.ledger import list_ledger
from store.queries.accounts.orders import list_orders
from store.queries.accounts.positions import Ranking, list_positions
from store.queries.operations.users import list_users, read_user_account
from store.queries.paging import LIMIT_MAX, ListRequest
from store.session.connect import Session
from store.users.users import find_user

EMAIL = "EMAIL"
WHO = "ID|EMAIL"
T = TypeVar("T")
Doing = Callable[[Session, Operator, int, str, Timestamp], Awaitable[ActView | Kept | None]]
_REASON_MAX = 500
_ORDERS = ("orderId", "side", "type", "quantity", "remainingQuantity", "price", "status", "reason", "createdAt")
_ENTRIES = ("entryId", "type", "amount", "balanceAfter", "referenceId", "marketId", "time")
_ACTS = ("actId", "time", "action", "operatorId", "shell", "userId", "marketId", "reason", "before", "after")


def _reason(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """A reason as the API takes it."""
    if not text.strip() or not text.isprintable() or len(text) > _REASON_MAX:
        raise click.BadParameter(f"1 to {_REASON_MAX} characters that can be printed")
    return text


limit_option = click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, help="At most so many.")
required_reason = click.option("--reason", required=True, callback=_reason, help="Why, for the log of operators.")


@click.group(cls=Commands)
def user() -> None:
    """Look up the account of a user, freeze it, correct its balance, and revoke what it has."""


@user.command("list")
@click.option("--search", help="A user id, or the beginning of an e-mail address.")
@click.option("--frozen", "is_frozen", is_flag=True, help="Only frozen accounts.")
@limit_option
@json_option
def list_them(search: str | None, is_frozen: bool, limit: int, as_json: bool) -> None:
    """List users, newest first."""

    async def read(session: Session) -> Page[Any] | Refused:
        return await list_users(session, search or None, ListRequest(limit=limit), is_frozen=is_frozen)

    show(_rows(asyncio.run(_in_session(read))), as_json, empty="no such user")


@user.command("show")
@click.argument("who", metavar=WHO)
@json_option
def show_account(who: str, as_json: bool) -> None:
    """Show a user with their money and open positions."""

    async def read(session: Session) -> dict[str, Any]:
        found = await resolved(session, who)
        account = await read_user_account(session, found, now())
        positions = await list_positions(session, found, ListRequest(limit=LIMIT_MAX), Ranking(AdlRanks(), now()))
        return {"account": account, "positions": positions.data if isinstance(positions, Page) else []}

    read_ = msgspec.to_builtins(asyncio.run(_in_session(read)))
    account, positions = read_["account"], read_["positions"]
    if as_json:
        show([account | {"positions": positions}], as_json, empty="")
        return
    plain = account.pop("user") | {f"balance.{name}": value for name, value in account.pop("balance").items()} | account
    show([{"name": name, "value": value} for name, value in plain.items()], as_json, empty="")
    show(
        positions,
        as_json,
        empty="no open position",
        columns=("marketId", "side", "quantity", "entryPrice", "unrealizedPnl"),
    )


@user.command()
@click.argument("who", metavar=WHO)
@limit_option
@json_option
def orders(who: str, limit: int, as_json: bool) -> None:
    """List the orders of a user, newest first."""

    async def read(session: Session) -> Page[Any] | Refused:
        return await list_orders(session, await resolved(session, who), ListRequest(limit=limit))

    show(_rows(asyncio.run(_in_session(read))), as_json, empty="no order", columns=_ORDERS)


@user.command()
@click.argument("who", metavar=WHO)
@limit_option
@json_option
def ledger(who: str, limit: int, as_json: bool) -> None:
    """List the movements of a user's wallet, newest first."""

    async def read(session: Session) -> Page[Any] | Refused:
        return await list_ledger(session, await resolved(session, who), ListRequest(limit=limit))

    show(_rows(asyncio.run(_in_session(read))), as_json, empty="no entry", columns=_ENTRIES)


def _command(name: str, doing: Doing, about: str) -> None:
    """Add a command that does something to one account for a reason."""

    @user.command(name, help=about)
    @click.argument("who", metavar=WHO)
    @required_reason
    @json_option
    def command(who: str, reason: str, as_json: bool) -> None:
        async def act(session: Session) -> ActView | Kept | None:
            return await doing(session, shell_operator(), await resolved(session, who), reason, now())

        done = asyncio.run(_in_session(act))
        if not isinstance(done, ActView):
            why = None if done is None else _WHY_KEPT.get(done)
            raise click.ClickException(why or f"there is no user {who}")
        _show_acts([done], as_json)


_WHY_KEPT = {
    Kept.NO_TOTP: "the user has no TOTP",
    Kept.NOT_ONE: "the user is no administrator",
    Kept.LAST_ONE: "the last administrator stays one",
}
_command("freeze", freeze, "Let an account only reduce its positions; its orders that could open one are cancelled.")
_command("unfreeze", unfreeze, "Let a frozen account trade and withdraw again.")
_command("revoke-keys", revoke_keys, "Revoke every API key of a user, for good.")
_command("end-sessions", end_sessions, "End every session of a user: every token, and the sockets that use it.")
_command("remove-totp", remove_totp, "Let a user log in without a code, who has lost app and recovery codes.")
_command("revoke-admin", revoke_admin, "Make an administrator an ordinary user; never the last one.")


@user.command("correct")
@click.argument("who", metavar=WHO)
@click.option("--credit", metavar="AMOUNT", help="Give so much.")
@click.option("--debit", metavar="AMOUNT", help="Take so much; never what margin needs.")
@click.option("--key", required=True, help="Idempotency key: a correction is carried out once per key.")
@required_reason
@json_option
def correct_balance(who: str, credit: str | None, debit: str | None, key: str, reason: str, *, as_json: bool) -> None:
    """Correct a balance by an amount of USDC, posted against the house account `external`."""
    if (credit is None) == (debit is None):
        raise click.UsageError("give either --credit or --debit")
    amount = credit if credit is not None else f"-{debit}"

    async def act(session: Session) -> ActView:
        asked = CorrectionRequest(ASSET, amount, reason)
        done = await correct(session, await resolved(session, who), asked, key, now(), operator=shell_operator())
        if isinstance(done, Refused):
            raise click.ClickException(f"{done.code}: {done.message}")
        return done.answer

    _show_acts([asyncio.run(_in_session(act))], as_json)


@click.command()
@click.option("--user", "who", metavar=WHO, help="Only what concerns this user.")
@click.option("--market", type=MARKET, help="Only what concerns this market.")
@limit_option
@json_option
def acts(who: str | None, market: str | None, limit: int, as_json: bool) -> None:
    """List what operators did, newest first: who, when, what, why, and what it changed."""

    async def read(session: Session) -> Page[ActView] | Refused:
        about = None if who is None else await resolved(session, who)
        return await list_acts(session, about, ListRequest(limit=limit, market_id=market))

    page = asyncio.run(_in_session(read))
    _show_acts(page.data if isinstance(page, Page) else [], as_json)


async def resolved(session: Session, who: str) -> int:
    """The user that an id or an e-mail address names."""
    user_id = user_id_of(who)
    if user_id is None and (found := await find_user(session, who)) is not None and found.user_id > 0:
        return found.user_id
    if user_id is None:
        raise click.ClickException(f"no user has the e-mail {who}")
    if not await session.fetchval("SELECT true FROM users WHERE user_id = $1", user_id):
        raise click.ClickException(f"there is no user {who}")
    return user_id


async def _in_session(work: Callable[[Session], Awaitable[T]]) -> T:
    async with session_of(resolve_local(load_settings())) as session:
        return await work(session)


def _rows(page: Page[Any] | Refused) -> list[dict[str, Any]]:
    """The rows of a page; a request without a cursor cannot be refused."""
    return [msgspec.to_builtins(each) for each in page.data] if isinstance(page, Page) else []


def _show_acts(found: Sequence[ActView], as_json: bool) -> None:
    rows = [msgspec.to_builtins(each) for each in found]
    if not as_json:
        for row in rows:
            row |= {name: msgspec.json.encode(row[name]).decode() for name in ("before", "after")}
    show(rows, as_json, empty="no act is recorded", columns=_ACTS)
