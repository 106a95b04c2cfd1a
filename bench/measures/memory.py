"""P7: the memory of a resting order, and the time to load 100,000 of them, compared with orjson decoding the same bytes.

Memory is measured in separate processes, so that nothing else grows or shrinks in that time.
"""

import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import orjson

from app.local.process import resident_bytes
from bench.load.flow import Flow
from bench.load.job import ROOT
from bench.quiet_collector import quiet_collector
from bench.result import Bar, Outcome, alone, compared
from bench.sizes import Size
from exchange.engine.log.snapshot_format import dump, load
from exchange.engine.market import Market
from exchange.engine.order import Order
from schemas.market import RULES_FIRST, SEED_MARKETS

BYTES_AN_ORDER = Bar(360, is_floor=False, unit="bytes")
LOAD_AGAINST_ORJSON = Bar(3.0, is_floor=False, unit="times")


def measure(size: Size) -> Outcome:
    """Both weights, and rounds of loading and decoding in turn."""
    state = dump(market_of(size.big_book))
    traced = [_weighed("traced", state, size.big_book) for _ in range(min(size.book_rounds, 3))]
    resident = [_weighed("resident", state, size.big_book) for _ in range(min(size.book_rounds, 3))]
    loads, decodes = [], []
    for _ in range(size.book_rounds):
        decodes.append(_ms(lambda: orjson.loads(state)))
        loads.append(_ms(lambda: load(state)))
    count = f"{size.big_book:,} resting orders"
    return Outcome(
        [
            alone("P7", f"weight of one of {count}, tracemalloc", "bytes", traced, BYTES_AN_ORDER),
            alone("P7", f"weight of one of {count}, resident", "bytes", resident, BYTES_AN_ORDER),
            compared("P7", f"loading {count}", "ms", loads, ("orjson.loads of the same", decodes), LOAD_AGAINST_ORJSON),
        ]
    )


def market_of(resting: int) -> Market:
    """A market with this number of resting orders."""
    market = Market(RULES_FIRST, SEED_MARKETS[0])
    for _, number, user, side, price, lots in Flow(3).resting(resting):
        market.rest(Order(number, user, side, price, lots))
    return market


def _weighed(how: str, state: bytes, resting: int) -> float:
    command = [sys.executable, "-m", "bench.measures.memory", how]
    weighed = subprocess.run(command, cwd=ROOT, input=state, capture_output=True, check=True)
    return float(json.loads(weighed.stdout)) / resting


def _ms(work: Callable[[], object]) -> float:
    """In processor time: nothing here waits, and other load on the machine does not count."""
    with quiet_collector():
        began = time.process_time()
        made = work()
        took = 1_000 * (time.process_time() - began)
    del made  # its end is not part of the measure
    return took


def _weigh(how: str, state: bytes) -> int:
    """Bytes of a market that is read from a snapshot; the bytes of the snapshot itself were there before."""
    if how == "traced":
        tracemalloc.start()
        market = load(state)
        weight = tracemalloc.get_traced_memory()[0]
    else:
        before = resident_bytes(os.getpid())
        market = load(state)
        weight = resident_bytes(os.getpid()) - before
    assert len(market.book)
    return weight


if __name__ == "__main__":
    print(json.dumps(_weigh(sys.argv[1], sys.stdin.buffer.read())))
