"""docs/live.md as a play: each frame in it is sent to a real exchange, and what comes back is written down."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.api.exchange import Exchange
from tests.api.live.client import Live

GUIDE = Path(__file__).parents[3] / "docs" / "live.md"
_STEP = re.compile(r"<!-- (?P<stage>.+?) -->|```live\n(?P<frames>.+?)\n```", re.DOTALL)
_VOLATILE = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"req-[0-9a-f-]+", "REQUEST"),
    (r'"(cursor|from)": "[^"]+"', "CURSOR"),
)

Stage = Callable[[Exchange], Awaitable[None]]


async def played(
    exchange: Exchange, live: Live, text: str, tokens: Mapping[str, str], stages: Mapping[str, Stage]
) -> str:
    """The guide with what the exchange sends now."""
    parts, end = [], 0
    for step in _STEP.finditer(text):
        parts.append(text[end : step.start()])
        end = step.end()
        if step["stage"]:
            await stages[step["stage"]](exchange)
            parts.append(step[0])
        else:
            lines = [await _line(live, line, tokens) for line in step["frames"].splitlines()]
            parts.append("```live\n" + "\n".join(lines) + "\n```")
    return "".join([*parts, text[end:]])


def timeless(text: str) -> str:
    """The guide without the values that differ in every run."""
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text)
    return text


def frames_in(text: str) -> list[dict[str, Any]]:
    """Every frame that the guide shows, of either side."""
    lines = [line for step in _STEP.finditer(text) if step["frames"] for line in step["frames"].splitlines()]
    return [json.loads(line[2:]) for line in lines]


async def _line(live: Live, line: str, tokens: Mapping[str, str]) -> str:
    if line.startswith("> "):
        await live.socket.send_str(re.sub(r"\$(\w+)", lambda name: tokens[name[1]], line[2:]))
        return line
    return "< " + json.dumps(await live.next_frame(), ensure_ascii=False)
