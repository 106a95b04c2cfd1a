"""The same log gives the same bytes in every process, whatever PYTHONHASHSEED it was started with."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from exchange.journal import write
from exchange.market import empty_market
from exchange.snapshot import dump, state_hash
from tests.exchange.builders import listed
from tests.exchange.streams import long_log

market = empty_market("TEA-PERP")
for seq, command in enumerate([listed(), *long_log(seed=7, length=3_000)], 1):
    write(market, seq, command)
print(market.event_seq, market.event_hash, state_hash(dump(market)))
"""


def final_state(hash_seed: str) -> str:
    """Event sequence, event hash and state hash at the end of the log, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_three_hash_seeds_give_the_same_events_and_the_same_state() -> None:
    """Nothing depends on the order of a set or on an object's address."""
    first, *others = [final_state(seed) for seed in ("0", "1", "4242")]
    assert int(first.split()[0]) > 3_000
    assert others == [first, first]
