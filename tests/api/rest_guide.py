"""docs/rest.md as a play: each request in it is sent, in order, to a real exchange, and its answer is written down.

What a reader sees of a request is `METHOD path`, headers and a body; `$ALICE` is the token of her login. A comment
`<!-- … -->` is a stage direction: something happens in the market without a REST request.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from api.read_your_writes import WAIT
from api.route import Access, Parameter, Route
from api.routes import ALL_ROUTES
from tests.api.documented_answers import undocumented
from tests.api.exchange import Exchange, Reply

GUIDE = Path(__file__).parents[2] / "docs" / "rest.md"
WIDTH = 110
SECRETS = {"token", "secret", "uri", "qr"}
HEADING = re.compile(r"^### (GET|POST|PUT|DELETE) (\S+)\n\n(?:> .*\n\n)?", re.MULTILINE)
_STEP = re.compile(r"<!-- (?P<stage>.+?) -->|```http\n(?P<asked>.+?)\n```\n```http\n(?P<answered>.*?)\n```", re.DOTALL)
_VOLATILE = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"req-[0-9a-f-]+", "REQUEST"),
    (r'"nextCursor": "[^"]+"', "CURSOR"),
    (r'"userAgent": "[^"]+"', "AGENT"),
    (r'"eventHash": "[^"]+"', "HASH"),
    (r'"(token|secret)": "[^"]+"', "SECRET"),
    (r"\d+ commands to be", "SOME commands to be"),
    (r'"(\w+AgeMs|ordersAccepted|latencyUsP\d+)": (?:null|[\d.]+)', r'"\1": SOME'),
)

Stage = Callable[[Exchange, Mapping[str, Any]], Awaitable[None]]


async def played(exchange: Exchange, text: str, tokens: dict[str, Any], stages: Mapping[str, Stage]) -> str:
    """The guide with the current answers; `tokens` are those of existing users, Alice's is added by her login."""
    parts, end = [], 0
    for step in _STEP.finditer(text):
        parts.append(text[end : step.start()])
        end = step.end()
        if step["stage"]:
            await stages[step["stage"]](exchange, tokens)
            parts.append(step[0])
        else:
            reply = await _ask(exchange, step["asked"], tokens)
            parts.append(f"```http\n{step['asked']}\n```\n```http\n{_answer(reply, step['asked'])}\n```")
    return HEADING.sub(_with_facts, "".join([*parts, text[end:]]))


def timeless(text: str) -> str:
    """The guide without the values that differ in every run."""
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text)
    return text


def routes_asked(text: str) -> Iterator[Route]:
    """The route of each request in the guide."""
    for step in _STEP.finditer(text):
        if step["asked"]:
            yield _route_of(step["asked"])


def facts(route: Route) -> str:
    """What the router knows of a route, as a line."""
    given = (*route.parameters, WAIT) if route.can_wait else route.parameters
    said = [f"{route.summary}.", _who(route), _named("Query", given, "query"), _named("Headers", given, "header")]
    if route.errors:
        said.append(f"Errors: {', '.join(f'`{code}`' for code in route.errors)}.")
    return " ".join(filter(None, said))


def _who(route: Route) -> str:
    if route.access is Access.PUBLIC:
        return "Public: no token needed."
    who = "Needs a token" if route.access is Access.USER else "Needs the token of an administrator"
    return f"{who}; " + (
        f"an API key needs the scope `{route.scope}`." if route.scope else "API keys are not accepted."
    )


def _named(what: str, given: tuple[Parameter, ...], place: str) -> str:
    names = [f"`{parameter.name}`" for parameter in given if parameter.place == place]
    return f"{what}: {', '.join(names)}." if names else ""


def _with_facts(heading: re.Match[str]) -> str:
    (route,) = [route for route in ALL_ROUTES if (route.method, route.path) == heading.groups()]
    return f"### {route.method} {route.path}\n\n> {facts(route)}\n\n"


def _route_of(asked: str) -> Route:
    method, path = asked.splitlines()[0].split()
    fits = [route for route in ALL_ROUTES if route.method == method and _pattern(route).fullmatch(path.split("?")[0])]
    return min(fits, key=lambda route: route.path.count("{"))


def _pattern(route: Route) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path))


async def _ask(exchange: Exchange, asked: str, tokens: dict[str, Any]) -> Reply:
    head, _, body = asked.partition("\n\n")
    (method, path), *named = [head.splitlines()[0].split(), *(line.split(": ") for line in head.splitlines()[1:])]
    headers = {name: re.sub(r"\$(\w+)", lambda who: str(tokens[who[1]]), value) for name, value in named}
    options: dict[str, Any] = {"headers": headers, "allow_redirects": False}
    call = exchange.anonymous().call(method, path, json.loads(body) if body else None, **options)
    reply = await (call if method == "GET" else _while_the_market_runs(exchange, call))
    assert undocumented(method, path, reply.status, reply.headers, reply.body) == [], path
    if isinstance(reply.body, dict) and "token" in reply.body:
        tokens["ALICE"] = reply.body["token"]
        tokens["alice"] = int(reply.body["userId"])
    return reply


async def _while_the_market_runs(exchange: Exchange, call: Coroutine[None, None, Reply]) -> Reply:
    """The answer to a call, after which everything is matched and persisted; a drain waits for that itself."""
    asked = asyncio.ensure_future(call)
    while not (await asyncio.wait({asked}, timeout=0.05))[0]:
        await exchange.run_engine()
    await exchange.run_engine()
    return asked.result()


def _answer(reply: Reply, asked: str) -> str:
    """Status, the headers that the route promises, and the body; of a page or a document only its kind."""
    route = _route_of(asked)
    promised = route.responses[reply.status].headers if reply.status in route.responses else ()
    lines = [f"{reply.status} {HTTPStatus(reply.status).phrase}"]
    is_shown = not isinstance(reply.body, str) and route.tag != "docs"
    names = (*promised, "Link", *(() if is_shown else ("Content-Type",)))
    lines += [f"{name}: {reply.headers[name]}" for name in names if name in reply.headers]
    return "\n".join([*lines, "", drawn(_cut(reply.body))] if is_shown else lines)


def _cut(value: Any) -> Any:
    """A body in which no secret is whole."""
    if isinstance(value, dict):
        return {name: f"{each[:12]}…" if name in SECRETS else _cut(each) for name, each in value.items()}
    return [_cut(each) for each in value] if isinstance(value, list) else value


def drawn(value: Any, indent: str = "") -> str:
    """JSON that breaks a line only where it is too long for one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(name)}: {drawn(each, inner)}" for name, each in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{inner}{drawn(each, inner)}" for each in value) + f"\n{indent}]"
