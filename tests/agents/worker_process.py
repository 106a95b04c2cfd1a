"""A worker of the stream in its own process: `python -m tests.agents.worker_process KIND MARKET SETTINGS`, or `shard:NAME` for MARKET."""

import logging
import sys
from pathlib import Path

import msgspec
import uvloop

from agents.run import run_clock, run_engine, run_projection, run_publisher, run_relay
from agents.shard.placement import Scope
from agents.worker.settings import StreamSettings

_RUN = {"engine": run_engine, "projection": run_projection, "relay": run_relay, "publisher": run_publisher}


def main() -> None:
    """Run one kind of worker for one shard until it is stopped."""
    kind, market, raw = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    settings = msgspec.json.decode(raw, type=StreamSettings, dec_hook=lambda _type, text: Path(text))
    shard = market.removeprefix("shard:")
    scope = Scope([market]) if shard == market else Scope(shards=[shard])
    uvloop.run(run_clock(settings) if kind == "clock" else _RUN[kind](scope, settings))


if __name__ == "__main__":
    main()
