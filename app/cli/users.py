"""`admin …`: administrators of the exchange."""

import asyncio

import click

from app.operator import grant_admin
from app.settings import load_settings, resolve_local


@click.group()
def admin() -> None:
    """Manage administrators of the exchange."""


@admin.command()
@click.argument("email")
def grant(email: str) -> None:
    """Make a registered user an administrator."""
    if not asyncio.run(grant_admin(resolve_local(load_settings()), email)):
        raise click.ClickException(f"no user has the e-mail {email}")
    click.echo(f"{email} is an administrator")
