"""`python -m tests.simulation --seed N --steps M`: one seed, its summary and trace hash; `--minutes T`: seeds till then."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.run import STEPS, Outcome, simulate

BLOCK = 20


def main() -> int:
    """Exit code 1 when a seed has found something."""
    arguments = _arguments()
    if arguments.minutes or arguments.seeds > 1:
        return _many(arguments)
    outcome = simulate(arguments.seed, arguments.steps, is_verbose=arguments.trace)
    if outcome.lines is not None:
        _say(*outcome.lines)
    _say(*_summary([outcome]), f"trace {outcome.trace_hash}")
    return bool(outcome.violations)


def _many(arguments: argparse.Namespace) -> int:
    """Blocks of seeds on every core, until the time or the seeds are used up."""
    deadline = time.monotonic() + (60 * arguments.minutes if arguments.minutes else float("inf"))
    seen: list[Outcome] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for round_of_blocks in _rounds(arguments):
            for outcomes in pool.map(partial(_block, arguments.steps), round_of_blocks):
                seen += outcomes
            if time.monotonic() > deadline:
                break
    _say(*_summary(seen))
    return any(outcome.violations for outcome in seen)


def _rounds(arguments: argparse.Namespace) -> Iterator[list[range]]:
    """A block of seeds for each core, again and again."""
    stop = sys.maxsize if arguments.minutes else arguments.seed + arguments.seeds
    width = BLOCK * (os.cpu_count() or 1)
    for first in range(arguments.seed, stop, width):
        yield [range(at, min(at + BLOCK, stop)) for at in range(first, min(first + width, stop), BLOCK)]


def _block(steps: int, seeds: range) -> list[Outcome]:
    return [simulate(seed, steps) for seed in seeds]


def _summary(outcomes: list[Outcome]) -> Iterator[str]:
    for title, name in (("", "counts"), ("crash at ", "crashes"), ("stopped itself: ", "stops")):
        total: Counter[str] = sum((getattr(outcome, name) for outcome in outcomes), Counter())
        yield from (f"{count:9,}  {title}{what}" for what, count in sorted(total.items()))
    yield f"{len(outcomes):9,}  seeds"
    for outcome in outcomes:
        yield from (f"seed {outcome.seed}: {violation}" for violation in outcome.violations)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the seed, or the first of many")
    parser.add_argument("--steps", type=int, default=STEPS, help="length of the stormy phase")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--minutes", type=float, default=0, help="go on with seeds for so long")
    parser.add_argument("--trace", action="store_true", help="print all that happens")
    return parser.parse_args()


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
