"""docs/live.md as a play: each frame in it is sent to a real exchange, and what comes back is written down."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.api.exchange import Exchange
from tests.api.live.client import Live

GUIDE = Path(__file__).parents[3] / "docs" / "live.md"
_VOLATILE = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"req-[0-9a-f-]+", "REQUEST"),
    (r'"(cursor|from)": "[^"]+"', "CURSOR"),
)

Stage = Callable[[Exchange], Awaitable[None]]


@dataclass
class Play:
    """Who plays: the blocks of one kind, over one connection. `names` stand for others in the guide: tokens and markets."""

    kind: str
    exchange: Exchange
    live: Live
    names: Mapping[str, str]
    stages: Mapping[str, Stage]

    async def played(self, text: str) -> str:
        """The guide with what the exchange sends now."""
        parts, end = [], 0
        for step in _steps(text, self.kind):
            parts.append(text[end : step.start()])
            end = step.end()
            if step["stage"]:
                if step["stage"] in self.stages:
                    await self.stages[step["stage"]](self.exchange)
                parts.append(step[0])
            else:
                lines = [await self._line(line) for line in step["frames"].splitlines()]
                parts.append(f"```{self.kind}\n" + "\n".join(lines) + "\n```")
        return "".join([*parts, text[end:]])

    async def _line(self, line: str) -> str:
        if line.startswith("> "):
            sent = line[2:]
            for name, value in self.names.items():
                sent = sent.replace(name, value)
            await self.live.socket.send_str(sent)
            return line
        shown = json.dumps(await self.live.next_frame(), ensure_ascii=False)
        for name, value in self.names.items():
            shown = shown.replace(value, name)
        return "< " + shown


def _steps(text: str, kind: str) -> Iterator[re.Match[str]]:
    return re.finditer(rf"<!-- (?P<stage>.+?) -->|```{kind}\n(?P<frames>.+?)\n```", text, re.DOTALL)


def timeless(text: str) -> str:
    """The guide without the values that differ in every run."""
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text)
    return text


def frames_in(text: str, *kinds: str) -> list[dict[str, Any]]:
    """Every frame that the guide shows, of either side."""
    blocks = [step["frames"] for kind in kinds for step in _steps(text, kind) if step["frames"]]
    return [json.loads(line[2:]) for block in blocks for line in block.splitlines()]
