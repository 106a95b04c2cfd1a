"""The command that shows the settings in force."""

from collections.abc import Mapping
from enum import StrEnum

import click

from app.cli.output import json_option, show
from app.settings import Settings, load_settings

IS_SET = "(set)"


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Show every setting as it is in force here, without the secrets; exit 2 when they do not hold together."""
    rows = [{"name": name.upper(), "value": value} for name, value in shown(load_settings()).items()]
    show(rows, as_json)


def shown(settings: Settings) -> Mapping[str, object]:
    """What eyes may see: a secret only as being there, a rate that is unset as the mode has it."""
    values = {name: _text(getattr(settings, name), field.repr) for name, field in Settings.model_fields.items()}
    rates = {
        f"rate_limit_{budget.replace('-', '_')}": f"{rate.calls}/{rate.window_s} s"
        for budget, rate in settings.rates.items()
    }
    return {name: rates.get(name, value) for name, value in values.items()}


def _text(value: object, may_be_seen: bool) -> object:
    if value is None or value in ("", (), {}):
        return None
    if not may_be_seen:
        return IS_SET
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value) if isinstance(value, StrEnum | dict) or not isinstance(value, int | float) else value
