"""The command that shows the effective settings."""

from collections.abc import Iterator
from enum import StrEnum

import click

from app.cli.output import json_option, show
from app.local.run_record import read_run_record
from app.settings import Misconfigured, Settings, load_settings, resolve_local
from store.session.dsn import without_password

IS_SET = "(set)"


class Origin(StrEnum):
    """Where a value comes from."""

    ENVIRONMENT = "environment"
    DATA = "DATA"
    MODE = "mode"
    DEFAULT = "default"


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Show every setting that a process started here would use, and its origin, without secrets; exit 2 when they are invalid."""
    given = load_settings()
    show(list(shown(given)), as_json, empty="no settings")
    if not as_json and (local := read_run_record(given.data)):
        click.echo(f"an exchange runs in {given.data}: {local.url}")


def shown(given: Settings) -> Iterator[dict[str, object]]:
    """The settings to print: a secret only as set or not; a setting that is not given, as DATA or the mode has it."""
    settings = _with_values_of_data(given)
    ruled = dict(_by_mode(settings))
    for name in Settings.model_fields:
        origin = Origin.MODE if name in ruled else Origin.DEFAULT
        if name in settings.model_fields_set:
            origin = Origin.ENVIRONMENT if name in given.model_fields_set else Origin.DATA
        yield {"name": name.upper(), "value": ruled.get(name, _value(settings, name)), "from": origin}


def _with_values_of_data(given: Settings) -> Settings:
    """The settings with the addresses and the session of the exchange that runs in DATA, and the secret kept there."""
    try:
        settings = resolve_local(given)
    except Misconfigured:
        settings = given
    keeps_secret = given.is_local and not given.jwt_secret and (given.data / "jwt_secret").exists()
    return settings.model_copy(update={"jwt_secret": IS_SET}) if keeps_secret else settings


def _by_mode(settings: Settings) -> Iterator[tuple[str, object]]:
    yield "open_deposits", int(settings.deposits_are_open)
    for budget, rate in settings.rates.items():
        yield f"rate_limit_{budget.replace('-', '_')}", f"{rate.calls}/{rate.window_s} s"


def _value(settings: Settings, name: str) -> object:
    value = getattr(settings, name)
    if value is None or value in ("", (), {}):
        return None
    if name == "database_url":
        return without_password(value) or IS_SET
    if not Settings.model_fields[name].repr:
        return IS_SET
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value) if isinstance(value, StrEnum | dict) or not isinstance(value, int | float) else value
