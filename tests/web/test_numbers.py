"""The exact decimals and the checksum of the pages, compared with those of Python."""

import json
import random
import zlib
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from api.documents.web_tree import WEB_TREE
from tests.web.conftest import Open

SEED = 20
CASES = 300


def _text(draw: random.Random) -> str:
    """A decimal of the contract: up to 18 digits on each side."""
    whole = str(draw.randrange(10 ** draw.randrange(1, 13)))
    places = draw.randrange(0, 13)
    return whole + (f".{draw.randrange(10**places):0{places}}" if places else "")


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _in_page(screen: Any, module: str, code: str, data: object) -> Any:
    """Run code with the names of a module of the pages."""
    return screen.page.evaluate(
        f"async ([data]) => {{ const lib = await import('/web/{WEB_TREE.version}/{module}'); return ({code})(lib, data); }}",
        [data],
    )


def test_decimals_are_exact(open_page: Open) -> None:
    """Sums, products, quotients, rounding to steps and places of random decimals are those of Python's."""
    draw = random.Random(SEED)  # noqa: S311 - examples
    cases = [(_text(draw), _text(draw), draw.randrange(0, 9)) for _ in range(CASES)]
    code = """(d, cases) => cases.map(([left, right, places]) => {
      const [a, b] = [d.decimal(left), d.decimal(right)];
      return [d.toText(a), d.toText(a - b), d.toText(d.times(a, b)), b ? d.toText(d.over(a, b)) : null,
        d.toFixed(a, places), b ? d.toText(d.roundDown(a, b)) : null];
    })"""
    found = _in_page(open_page("/"), "lib/decimal.js", code, cases)
    tiny = Decimal(10) ** -18
    with localcontext() as context:
        context.prec = 60
        for (left, right, places), got in zip(cases, found, strict=True):
            a, b = Decimal(left), Decimal(right)
            quotient = _plain((a / b).quantize(tiny, ROUND_DOWN)) if b else None
            stepped = _plain((a / b).to_integral_value(ROUND_FLOOR) * b) if b else None
            rounded = str(a.quantize(Decimal(10) ** -places, ROUND_HALF_UP))
            product = _plain((a * b).quantize(tiny, ROUND_DOWN))
            assert got == [_plain(a), _plain(a - b), product, quotient, rounded, stepped], (left, right, places)


def test_the_fills_of_a_candle_are_one_mark_a_side(open_page: Open) -> None:
    """Hundreds of fills in a candle are no tower of marks: their quantities are added, exactly."""
    fills = [
        {"side": "SELL", "time": "2026-11-30T08:15:01.000000Z", "quantity": "0.4"},
        {"side": "BUY", "time": "2026-11-30T08:14:59.999999Z", "quantity": "0.1"},
        {"side": "SELL", "time": "2026-11-30T08:03:00.000000Z", "quantity": "7"},
        {"side": "BUY", "time": "2026-11-30T08:00:00.000000Z", "quantity": "0.2"},
    ]
    found = _in_page(open_page("/"), "trade/fill_markers.js", "(m, fills) => m.marksOf(fills, '15m')", fills)
    early = int(datetime(2026, 11, 30, 8, tzinfo=UTC).timestamp())
    assert found == [
        {"side": "SELL", "time": early, "quantity": "7"},
        {"side": "BUY", "time": early, "quantity": "0.3"},
        {"side": "SELL", "time": early + 900, "quantity": "0.4"},
    ]


def test_what_is_no_decimal_is_none(open_page: Open) -> None:
    """Exponents, signs, spaces, other digits, leading zeros and nothing at all are refused."""
    bad = [
        "",
        " ",
        "1e3",
        "+1",
        "0x10",
        "1_000",
        "٣",
        "NaN",
        "Infinity",
        "01",
        "1.",
        ".5",
        "1.2.3",
        "1 ",
        "-",
        "1\n",
        "9" * 19,
    ]
    found = _in_page(open_page("/"), "lib/decimal.js", "(d, bad) => bad.map((text) => d.decimal(text) === null)", bad)
    assert found == [True] * len(bad)


def test_the_checksum_is_zlibs(open_page: Open) -> None:
    """CRC-32 of texts of any length."""
    draw = random.Random(SEED)  # noqa: S311 - examples
    texts = [":".join(_text(draw) for _ in range(count)) for count in range(50)]
    found = _in_page(open_page("/"), "lib/book.js", "(b, texts) => texts.map(b.crc32)", texts)
    assert found == [zlib.crc32(text.encode()) for text in texts]


def test_a_book_follows_random_updates(open_page: Open) -> None:
    """After each of many updates it has the levels of an obvious book, in order; an update out of order is refused."""
    draw = random.Random(SEED)  # noqa: S311 - examples
    sides: dict[str, dict[Decimal, str]] = {"bids": {}, "asks": {}}
    messages: list[dict[str, Any]] = [{"op": "snapshot", "sequence": 1, "bids": [], "asks": []}]
    expected = []
    for sequence in range(2, 200):
        update: dict[str, Any] = {
            "op": "update",
            "sequence": sequence,
            "previous": sequence - 1,
            "bids": [],
            "asks": [],
        }
        for name, low in (("bids", 5_000), ("asks", 5_100)):
            price = Decimal(draw.randrange(low, low + 90)) / 10
            quantity = "0" if draw.random() < 0.4 and price in sides[name] else str(draw.randrange(1, 9))
            update[name].append([_plain(price), quantity])
            sides[name][price] = quantity
            if quantity == "0":
                del sides[name][price]
        messages.append(update)
        shown = {
            name: [[_plain(p), q] for p, q in sorted(side.items(), reverse=name == "bids")]
            for name, side in sides.items()
        }
        expected.append(shown)
    code = """(lib, messages) => { const book = new lib.Book(); const seen = [];
      for (const message of messages) { if (!book.take(message)) throw new Error(message.sequence); seen.push(JSON.stringify({bids: book.bids, asks: book.asks})); }
      return [seen.slice(1), book.take({op: "update", sequence: 999, previous: 998, bids: [], asks: []})]; }"""
    seen, late = _in_page(open_page("/"), "lib/book.js", code, messages)
    assert [json.loads(one) for one in seen] == expected
    assert late is False
