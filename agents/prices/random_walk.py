"""A random walk: the price source of demos and tests. The same seed gives the same prices."""

import asyncio
import random
from collections.abc import AsyncIterator

from agents.prices.source import Observation
from schemas.market import INDEX_MAX
from schemas.units import PPM, Nanos
from store.session.checked_clock import machine_time


class RandomWalk:
    """A bounded walk in parts per million of its start. Sources with one seed move together, each with its own noise."""

    def __init__(
        self,
        name: str,
        market: str,
        start: Nanos,
        seed: int = 1,
        *,
        step_ppm: int = 100,
        drift_max_ppm: int = 50_000,
        noise_ppm: int = 20,
        every_ms: int = 1_000,
    ) -> None:
        self.name = name
        self.market = market
        self._start = start
        self._step_ppm = step_ppm
        self._drift_max_ppm = drift_max_ppm
        self._noise_ppm = noise_ppm
        self._every_s = every_ms / 1_000
        self._drift_ppm = 0
        self._walk = random.Random(f"{market}/{seed}")  # noqa: S311 - a price to play with, not a secret
        self._noise = random.Random(f"{market}/{seed}/{name}")  # noqa: S311 - as above

    def next_price(self) -> Nanos:
        """Take one step; the distance from the start is limited."""
        drift = self._drift_ppm + self._walk.randint(-self._step_ppm, self._step_ppm)
        self._drift_ppm = max(-self._drift_max_ppm, min(self._drift_max_ppm, drift))
        offset_ppm = self._drift_ppm + self._noise.randint(-self._noise_ppm, self._noise_ppm)
        return _within_bounds(self._start + self._start * offset_ppm // PPM)

    def nudge(self, by_ppm: int) -> None:
        """Jump: move the start by `by_ppm`, and continue the walk from there."""
        self._start = _within_bounds(self._start + self._start * by_ppm // PPM)

    async def prices(self) -> AsyncIterator[Observation]:
        """One price per step, the first one at once."""
        while True:
            yield Observation(machine_time(), self.next_price())
            await asyncio.sleep(self._every_s)


def _within_bounds(price: int) -> Nanos:
    return Nanos(max(1, min(INDEX_MAX, price)))
