"""`admin …`: administrators of the exchange."""

import asyncio

import click

from app.cli.output import json_option, show
from app.cli.screen.commands import Commands
from app.operator import administrators, set_admin
from app.settings import load_settings, resolve_local


@click.group(cls=Commands)
def admin() -> None:
    """Manage administrators of the exchange."""


@admin.command()
@click.argument("email")
def grant(email: str) -> None:
    """Make a registered user an administrator."""
    _set_admin(email, is_admin=True)
    click.echo(f"{email} is an administrator")


@admin.command()
@click.argument("email")
def revoke(email: str) -> None:
    """Make an administrator an ordinary user again, at once: tokens carry no roles."""
    _set_admin(email, is_admin=False)
    click.echo(f"{email} is not an administrator")


@admin.command("list")
@json_option
def list_administrators(as_json: bool) -> None:
    """List every administrator."""
    rows = asyncio.run(administrators(resolve_local(load_settings())))
    show(rows, as_json, empty="nobody is an administrator")


def _set_admin(email: str, *, is_admin: bool) -> None:
    if not asyncio.run(set_admin(resolve_local(load_settings()), email, is_admin=is_admin)):
        raise click.ClickException(f"no user has the e-mail {email}")
