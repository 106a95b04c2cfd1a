"""The structs of the Python client are those of the exchange."""

import re
from pathlib import Path

import msgspec
import pytest

from app.release.client_models import ANSWERS, PAGES, formatted
from perpetua_client import models
from schemas.rest.orders import OrderRequest
from tests.api.rest_guide import GUIDE


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_generated_modules_are_up_to_date(path: Path) -> None:
    """After a change to the structs of the exchange: `python -m app.release.client_models`."""
    assert path.read_text() == formatted(PAGES[path]())


def test_every_order_of_the_rest_guide_is_the_same_to_both() -> None:
    """What the exchange reads as an order, the client reads too, and sends as the exchange reads it."""
    bodies = re.findall(r"^POST /orders\n(?:.+\n)*\n(\{.+\})$", GUIDE.read_text(), re.MULTILINE)
    read = [body for body in bodies if _is(OrderRequest, body)]
    assert len(read) > 5
    for body in read:
        sent = msgspec.json.encode(msgspec.json.decode(body, type=models.OrderRequest))
        assert msgspec.json.decode(sent, type=OrderRequest) == msgspec.json.decode(body, type=OrderRequest)


def test_every_answer_of_the_rest_guide_reads_as_decimals_and_times() -> None:
    """No field that is a text on purpose is taken for a number or a time, nor the other way round."""
    shown = re.findall(r"^```http\n20\d .+\n(?:.+\n)*\n([\[{](?:.|\n)+?)\n```", GUIDE.read_text(), re.MULTILINE)
    found = {kind for body in shown for kind in ANSWERS if _reads(kind, body)}
    assert len(found) > 15


def _reads(kind: type, body: str) -> bool:
    """Whether the exchange's struct fits this answer or its entries; then the client's must."""
    own = getattr(models, kind.__name__.removesuffix("View"))
    for shape, other in ((kind, own), (list[kind], list[own])):  # type: ignore[valid-type]
        text = msgspec.json.encode(msgspec.json.decode(body)["data"]) if '"nextCursor"' in body else body.encode()
        if text != b"[]" and _is(shape, text):
            msgspec.json.decode(text, type=other)
            return True
    return False


def _is(kind: object, body: str | bytes) -> bool:
    try:
        msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        return False
    return True
