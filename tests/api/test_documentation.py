"""Answers are as the documents say."""

import json
import re
from pathlib import Path

from tests.api.exchange import Client, Exchange

ROOT = Path(__file__).resolve().parents[2]
_PAIR = re.compile(r"```http\nGET (\S+)\n```\n```json\n(.*?)\n```\n", re.DOTALL)
_AT_NOON = """
UPDATE orders SET created_at = '2027-01-15T12:00:00Z', updated_at = '2027-01-15T12:02:30Z';
UPDATE fills SET at = '2027-01-15T12:00:01Z' WHERE trade_id = 1;
UPDATE fills SET at = '2027-01-15T12:02:30Z' WHERE trade_id = 2;
UPDATE progress SET at = '2027-01-15T12:02:31Z';
UPDATE relayed_records SET sent_at = '2027-01-15T12:00:00.004211Z';
UPDATE persisted_records SET matched_at = '2027-01-15T12:00:00.007Z', persisted_at = '2027-01-15T12:00:00.010874Z'
  WHERE command_seq = 2;
UPDATE persisted_records SET matched_at = '2027-01-15T12:00:01.007Z' WHERE command_seq > 2;
UPDATE markets SET mark = 600005, index_price = 60000250000000, funding_rate = 100000, predicted_funding_rate = 105000,
  next_funding_at = '2027-01-15T16:00:00Z';
"""


async def a_quiet_noon(exchange: Exchange) -> Client:
    """Alice's bid of 0.5 at 60,000 gets 0.3, then she buys 0.1 at 60,010; four orders rest. All of it at noon."""
    alice, bob = await exchange.user("100000"), await exchange.user("100000")
    await alice.order(quantity="0.5", clientOrderId="my-first-order")
    await exchange.run_engine()
    await bob.order(side="SELL", quantity="0.3")
    await bob.order(side="SELL", quantity="0.5", price="60010")
    await alice.order(quantity="0.1", price="60010", timeInForce="IOC")
    await alice.order(quantity="0.2", price="59990")
    await bob.order(side="SELL", quantity="1.2", price="60020")
    await exchange.run_engine()
    await exchange.execute(_AT_NOON)
    return alice


async def test_the_page_on_market_data_is_true(exchange: Exchange) -> None:
    """Every request in it, word for word; the owner's token opens the trace and changes nothing in the rest."""
    alice = await a_quiet_noon(exchange)
    pairs = _PAIR.findall((ROOT / "docs" / "market-data.md").read_text())
    assert len(pairs) == 5
    for path, answer in pairs:
        reply = await alice.get(path)
        assert reply.status == 200
        assert reply.body == json.loads(answer), path
