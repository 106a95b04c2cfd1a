"""`admin …`: administrators of the exchange."""

import asyncio
from collections.abc import Awaitable, Callable

import click

from app.cli.accounts import EMAIL, resolved
from app.cli.output import json_option, show
from app.cli.screen.commands import Commands
from app.cli.sending import reason_option
from app.operator import administrators, now, session_of, shell_operator
from app.settings import load_settings, resolve_local
from schemas.rest.operating.acts import ActView
from schemas.units import Timestamp
from store.operators.acts import Operator
from store.operators.rights import Kept, grant_admin, revoke_admin
from store.session.connect import Session


@click.group(cls=Commands)
def admin() -> None:
    """Manage administrators of the exchange."""


@admin.command()
@click.argument("email", metavar=EMAIL)
@reason_option
def grant(email: str, reason: str | None) -> None:
    """Make a registered user an administrator."""
    asyncio.run(_change(email, reason, grant_admin))
    click.echo(f"{email} is an administrator")


@admin.command()
@click.argument("email", metavar=EMAIL)
@reason_option
def revoke(email: str, reason: str | None) -> None:
    """Make an administrator an ordinary user again, at once: tokens carry no roles. Never the last one."""
    outcome = asyncio.run(_change(email, reason, revoke_admin))
    if outcome is Kept.LAST_ONE:
        raise click.ClickException(f"{email} is the last administrator: make another user one first")
    click.echo(f"{email} is not an administrator")


@admin.command("list")
@json_option
def list_administrators(as_json: bool) -> None:
    """List every administrator."""
    rows = asyncio.run(administrators(resolve_local(load_settings())))
    show(rows, as_json, empty="nobody is an administrator")


Changing = Callable[[Session, Operator, int, str | None, Timestamp], Awaitable[ActView | Kept]]


async def _change(email: str, reason: str | None, change: Changing) -> ActView | Kept:
    async with session_of(resolve_local(load_settings())) as session:
        return await change(session, shell_operator(), await resolved(session, email), reason, now())
