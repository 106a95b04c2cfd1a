"""The structs of clients/python, generated from those of the exchange: `python -m app.release.client_models` writes them.

A client sees Decimal and datetime where the wire has text. Which text is which is said here by the field's name, once; a name
that is not listed stops the generator. Words of an answer stay text, because the exchange may add some (docs/consume.md).
"""

import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from schemas import fills
from schemas.live import account_messages, market_messages
from schemas.rest import accounts, countdowns, market_data, markets, order_groups, orders, transfers
from schemas.rest.bodies import Request

PACKAGE = Path(__file__).parents[2] / "clients" / "python" / "src" / "perpetua_client"
REQUESTS = (orders.LegRequest, orders.OrderRequest, orders.AmendRequest, transfers.WithdrawalRequest)
ANSWERS = (
    *(orders.OrderTaken, orders.CancelTaken, orders.AmendTaken, orders.OrderView, orders.FillView),
    *(order_groups.RefusalView, order_groups.OrderAnswerView, order_groups.OrderAnswersView),
    *(accounts.BalanceView, accounts.PositionView, accounts.LeverageView, accounts.LedgerEntryView),
    *(markets.TimeView, markets.RiskTierView, markets.MarketView, markets.FundingView, markets.FundingPaymentView),
    *(market_data.BookLevelView, market_data.OrderBookView, market_data.TradeView, market_data.CandleView),
    *(market_data.TickerView, fills.PublicFill, countdowns.CountdownView),
)
MARKET_MESSAGES = get_args(market_messages.MarketMessage)
ACCOUNT_MESSAGES = get_args(account_messages.AccountMessage)

_TIMES = re.compile(r"(^|_)(time|at|until|since)$")
_TEXTS = re.compile(
    r"(^|_)(id|asset|symbol|side|type|status|reason|cause|code|message|role|group|cursor|channel|market|interval|refused|mode|force)$"
)
_DECIMALS = re.compile(
    r"(^|_)(price|prices|quantity|notional|fee|pnl|rate|rate_cap|amount|after|margin|total|locked|available|size|band|bound|to|"
    r"interest|premium|open|high|low|close|volume|slippage|bid|ask|bids|asks|(volume|notional|open|high|low|change|rate)_24h)$"
)
_HEAD = '''"""{about}

Written by `python -m app.release.client_models` from the structs of the exchange; a test compares them.
"""

'''


def models() -> str:
    """The module of REST's bodies."""
    words = {word for request in REQUESTS for word in _words_in(request)}
    aliases = [_alias(word) for word in sorted(words, key=lambda word: word.__name__)]
    imports = "from datetime import datetime\nfrom decimal import Decimal\nfrom typing import Any, Literal\n\nimport msgspec\n"
    about = _HEAD.format(about="The bodies of REST: what is sent, and what is answered.")
    structs = [_struct(kind, kind.__name__.removesuffix("View")) for kind in (*REQUESTS, *ANSWERS)]
    return about + imports + "\n\n" + "\n".join(aliases) + "\n\n\n" + "\n\n\n".join(structs) + "\n"


def messages() -> str:
    """The module of the socket's messages."""
    kinds = (market_messages.MarkView, *MARKET_MESSAGES, *ACCOUNT_MESSAGES)
    structs = [_struct(kind, _message_name(kind)) for kind in kinds]
    names = {kind.__name__.removesuffix("View") for kind in ANSWERS}
    used = sorted(names.intersection(re.findall(r"data: (\w+)", "\n".join(structs))))
    imports = "from datetime import datetime\nfrom decimal import Decimal\n\nimport msgspec\n\n"
    imports += f"from perpetua_client.models import {', '.join(used)}\n"
    unions = [
        f"{name} = (\n    " + "\n    | ".join(_message_name(kind) for kind in kinds) + "\n)"
        for name, kinds in (("MarketMessage", MARKET_MESSAGES), ("AccountMessage", ACCOUNT_MESSAGES))
    ]
    about = _HEAD.format(about="What the socket sends about markets and about the account.")
    return about + imports + "\n\n" + "\n\n\n".join(structs) + "\n\n\n" + "\n".join(unions) + "\n"


def _message_name(kind: type) -> str:
    return kind.__name__ if kind is market_messages.MarkView else f"{kind.__name__}Message"


def _struct(kind: type, name: str) -> str:
    tag = kind.__struct_config__.tag  # type: ignore[attr-defined]  # msgspec's own
    options = ["frozen=True", 'rename="camel"', "kw_only=True"]
    options += ["omit_defaults=True"] if issubclass(kind, Request) else []
    options += ['tag_field="op"', f'tag="{tag}"'] if tag else []
    said = inspect.getdoc(kind) or ""
    about = textwrap.indent(f'"""{said}' + ("\n" if "\n" in said else "") + '"""', "    ")
    fields = "\n".join(f"    {_field(kind, field)}" for field in msgspec.structs.fields(kind))
    return f"class {name}(msgspec.Struct, {', '.join(options)}):\n{about}\n\n{fields}"


def _field(kind: type, field: msgspec.structs.FieldInfo) -> str:
    shown = _type(kind, field.name, field.type)
    renamed = field.encode_name != _camel(field.name)
    if not field.required:
        default = repr(str(field.default) if isinstance(field.default, StrEnum) else field.default).replace("'", '"')
        return f"{field.name}: {shown} = " + (
            f'msgspec.field(name="{field.encode_name}", default={default})' if renamed else default
        )
    return f"{field.name}: {shown}" + (f' = msgspec.field(name="{field.encode_name}")' if renamed else "")


def _type(kind: type, name: str, shown: Any) -> str:  # noqa: PLR0911 - one line for each kind of type
    """The source of a field's type."""
    origin, arguments = get_origin(shown), get_args(shown)
    if hasattr(shown, "__metadata__"):
        return _type(kind, name, shown.__origin__)
    if origin in (Union, UnionType):
        parts = [_type(kind, name, argument) for argument in arguments if argument is not NoneType]
        return " | ".join([*dict.fromkeys(parts), *(["None"] if NoneType in arguments else [])])
    if origin is Literal:
        return "str" if isinstance(arguments[0], str) else "int"
    if origin in (list, tuple, dict):
        return f"{origin.__name__}[{', '.join(_type(kind, name, argument) for argument in arguments)}]"
    if shown is str:
        return _text(kind, name)
    if isinstance(shown, type) and issubclass(shown, StrEnum):
        return shown.__name__ if issubclass(kind, Request) else "str"
    if isinstance(shown, type) and issubclass(shown, msgspec.Struct):
        return shown.__name__ if shown is market_messages.MarkView else shown.__name__.removesuffix("View")
    return {datetime: "datetime", Any: "Any"}.get(shown) or shown.__name__


def _text(kind: type, name: str) -> str:
    """What a text of this name is to a client."""
    if kind is order_groups.RefusalView or name == "sequences":
        return "str"
    for pattern, found in ((_TIMES, "datetime"), (_TEXTS, "str"), (_DECIMALS, "Decimal")):
        if pattern.search(name):
            return found
    raise SystemExit(
        f"{kind.__name__}.{name}: say in app/release/client_models.py whether it is a time, a text or a decimal"
    )


def _words_in(kind: type) -> Iterable[type[StrEnum]]:
    for field in msgspec.structs.fields(kind):
        for part in (field.type, *get_args(field.type)):
            if isinstance(part, type) and issubclass(part, StrEnum):
                yield part


def _alias(words: type[StrEnum]) -> str:
    values = ", ".join(f'"{word.value}"' for word in words)
    return f"{words.__name__} = Literal[{values}]"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


def formatted(source: str) -> str:
    """The source as the formatter of the house leaves it."""
    ruff, named = str(Path(sys.executable).with_name("ruff")), ["--stdin-filename", str(PACKAGE / "models.py"), "-"]
    for command in (["check", "--select=I", "--fix", "--quiet"], ["format"]):
        source = subprocess.run(
            [ruff, *command, *named], input=source, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    return source


PAGES = {PACKAGE / "models.py": models, PACKAGE / "messages.py": messages}

if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(formatted(page()))
