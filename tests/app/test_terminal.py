"""How the command line looks on a terminal: listings fit it, what needs the operator is red, long commands say how far they are."""

import asyncio
import itertools
import json
import sys

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.cli.screen.table import Table
from store.audit.invariants import INVARIANTS
from tests.conftest import Broker
from tests.store.account_builder import session_to
from tests.terminal import on_terminal, program_on_terminal

REASON = "its log and the database contradict each other since command 4711: a restored backup"


async def _close_a_market(database: str) -> None:
    """ETH-PERP is halted by the exchange, its listing has waited for an hour, and the audit has found a difference."""
    async with session_to(database) as session:
        await session.execute("UPDATE markets SET status = 'HALTED', halted_reason = $1 WHERE market_id = 2", REASON)
        await session.execute("UPDATE outbox SET created_at = now() - interval '1 hour'")
        await session.execute("UPDATE progress SET command_seq = 1, event_seq = 1 WHERE market_id = 1")
        await session.execute(
            'INSERT INTO audit_runs (at, took_ms, difference, findings) VALUES (now(), 1, -7, \'[{"invariant": "x"}]\')'
        )


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_status_fits_the_terminal(database: str, columns: int) -> None:
    """No line is longer than the terminal, the market and its status are always there, and what has no room is named."""
    await _close_a_market(database)
    shown = await on_terminal(["status"], columns, {"DATABASE_URL": database})
    assert shown.exit_code == 1, shown.raw
    assert max(map(len, shown.lines)) <= columns
    heads = shown.lines[0].split()
    assert heads[:2] == ["market", "status"]
    assert [line.split()[:2] for line in shown.lines if "-PERP" in line] == [
        ["BTC-PERP", "ACTIVE"],
        ["ETH-PERP", "HALTED"],
    ]
    note = " ".join(shown.lines).partition("no room for ")[2].partition(":")[0]
    left_out = note.split(", ") if note else []
    assert heads + left_out == [
        "market",
        "status",
        "behind_s",
        "behind",
        "halted",
        "rests",
        "mark",
        "owner",
        "shard",
        "rules",
        "commands",
        "events",
    ]
    assert bool(left_out) == (columns < 100)


async def test_the_reason_of_a_halt_is_readable_at_80_columns(database: str) -> None:
    """It is wrapped, not cut."""
    await _close_a_market(database)
    shown = await on_terminal(["status"], 80, {"DATABASE_URL": database})
    start, end = shown.lines[0].index("halted"), shown.lines[0].index("rests ")
    rows = itertools.dropwhile(lambda line: not line.startswith("ETH-PERP"), shown.lines)
    column = itertools.takewhile(bool, (line[start:end].strip() for line in rows))
    assert " ".join(column).startswith(REASON)


async def test_what_needs_the_operator_is_red(database: str) -> None:
    """HALTED with its reason, the lag, the missing owner and the difference; not the market that trades, and nothing with NO_COLOR."""
    await _close_a_market(database)
    shown = await on_terminal(["status"], 200, {"DATABASE_URL": database})
    assert {"HALTED", REASON, "-", "1"} < set(shown.red)
    assert any(text.startswith("audit: difference -7 micros, 1 findings") for text in shown.red)
    assert "ACTIVE" not in shown.red
    assert (await on_terminal(["market", "list"], 200, {"DATABASE_URL": database})).red == ["HALTED"]
    plain = await on_terminal(["status"], 200, {"DATABASE_URL": database, "NO_COLOR": "1"})
    assert not plain.is_coloured
    assert plain.lines[0] == shown.lines[0]


async def test_a_foreign_text_moves_no_cursor(database: str) -> None:
    """Control characters in a cell are shown as what they are."""
    async with session_to(database) as session:
        await session.execute("UPDATE markets SET halted_reason = E'clear\\x1b[2Jthe\\nscreen' WHERE market_id = 1")
    shown = await on_terminal(["status"], 200, {"DATABASE_URL": database, "NO_COLOR": "1"})
    assert "\x1b" not in shown.raw
    assert any(r"clear\x1b[2Jthe\nscreen" in line for line in shown.lines)


async def test_a_market_without_fills_says_so(database: str) -> None:
    """On standard error: what reads the fills gets none."""
    shown = await _type({"DATABASE_URL": database}, "tail", "--market", "BTC-PERP", "--from-sequence", "3")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "", "BTC-PERP has no fills from sequence 3\n")


async def test_columns_is_respected_without_a_terminal_and_a_pipe_is_not_limited(database: str) -> None:
    """A script reads every column, without colours; COLUMNS limits it all the same."""
    await _close_a_market(database)
    whole = await _type({"DATABASE_URL": database}, "status")
    assert whole.stdout.splitlines()[0].split()[-1] == "events"
    assert "\x1b" not in whole.stdout
    narrow = await _type({"DATABASE_URL": database, "COLUMNS": "60"}, "status")
    assert max(map(len, narrow.stdout.splitlines())) <= 60


async def test_a_difference_is_red_and_a_long_check_says_how_far_it_is(database: str) -> None:
    """`audit` on a terminal: a line of progress that reaches its end; in a pipe nothing but its result."""
    async with session_to(database) as session:
        await session.execute("UPDATE ledger SET amount = amount + 1 WHERE account = -3")
    shown = await on_terminal(["audit"], 80, {"DATABASE_URL": database})
    assert shown.exit_code == 1
    assert any(
        "checking the sums" in line and line.endswith(f"{len(INVARIANTS)}/{len(INVARIANTS)}") for line in shown.lines
    )
    assert "conservation" in shown.red
    piped = await _type({"DATABASE_URL": database}, "audit", "--deep")
    assert "checking" not in piped.output


async def test_a_rebuild_says_how_far_it_is(database: str, broker: Broker) -> None:
    """A line for each stage, with the markets done; in a pipe only the table."""
    async with session_to(database) as session:
        await session.execute("UPDATE markets SET name = replace(name, '-', '-LOST-')")  # their logs are empty
    environment = {"DATABASE_URL": database, "BROKER_URL": broker.bootstrap}
    shown = await on_terminal(["rebuild", "--yes"], 80, environment)
    assert shown.exit_code == 0, shown.raw
    for stage in ("checking the logs", "moving the markets"):
        assert any(line.startswith(stage) and line.endswith("2/2") for line in shown.lines), shown.lines
    assert "BTC-LOST-PERP  2      0" in shown.lines
    again = await _type(environment, "rebuild", "--yes")
    assert [line.split()[0] for line in again.output.splitlines()] == ["market", "BTC-LOST-PERP", "ETH-LOST-PERP"]


async def test_a_bench_says_which_measure_runs() -> None:
    """On a terminal; its result replaces the line."""
    environment = {"BENCH": "tiny", "BENCH_ONLY": "P4,P7"}
    shown = await program_on_terminal([sys.executable, "-m", "bench"], 120, environment)
    assert shown.exit_code == 0, shown.raw
    said = [line for line in shown.lines if " of 2, after 0:" in line]
    assert [line.split()[:2] for line in said] == [["P4", "1"], ["P7", "2"]]
    assert shown.raw.count("\r\x1b[K") == 4, "each of the two lines is removed again"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "--workers"), "no process of the exchange is running"),
        (("admin", "list"), "nobody is an administrator"),
        (("market", "sources", "BTC-PERP"), "BTC-PERP has no price sources: its index is constant"),
    ],
)
async def test_an_empty_listing_says_so(database: str, words: tuple[str, ...], said: str) -> None:
    """People read a sentence, programs an empty list."""
    shown = await _type({"DATABASE_URL": database}, *words)
    assert (shown.exit_code, shown.output) == (0, said + "\n")
    listed = await _type({"DATABASE_URL": database}, *words, "--json")
    assert json.loads(listed.output) == []


@pytest.mark.parametrize(("width", "length"), [*itertools.product((1, 7, 20, 41, 80), (3, 30, 90))])
def test_a_table_never_exceeds_its_width(width: int, length: int) -> None:
    """Whatever the cells hold: words, one endless word, nothing."""
    rows = [["x" * length, "two words " * (length // 10), ""], ["", "y" * length, "short"]]
    table = Table(["name", "text", "more"], rows, width)
    lines = ["  ".join(cell.text for cell in line) for line in table.lines()]
    assert max(map(len, lines)) <= width


def test_a_table_without_a_width_has_everything_in_one_line_a_row() -> None:
    """Two spaces between columns, each as wide as its longest cell."""
    table = Table(["a", "b"], [["long text here", "1"], ["-", "22"]], None)
    lines = ["  ".join(cell.text for cell in line) for line in table.lines()]
    assert lines == ["a               b ", "long text here  1 ", "-               22"]
    assert not table.left_out


@pytest.mark.parametrize("columns", [60, 200])
@pytest.mark.parametrize("words", [(), ("market",)])
async def test_the_help_of_a_group_says_every_sentence_in_full(words: tuple[str, ...], columns: int) -> None:
    """None is cut off with dots: what does not fit is wrapped."""
    shown = await on_terminal([*words, "--help"], columns, {})
    assert shown.exit_code == 0
    assert max(map(len, shown.lines)) <= columns
    assert "..." not in "\n".join(shown.lines).replace("[ARGS]...", "")
    page = " ".join(" ".join(shown.lines).split())
    assert all(sentence in page for sentence in sentences(words))


@pytest.mark.parametrize("words", [("admin",), ("dlq",), ("demo",)])
def test_no_group_cuts_its_help(words: tuple[str, ...]) -> None:
    """Each is a group of ours."""
    page = " ".join(CliRunner().invoke(cli, [*words, "--help"]).output.split())
    assert all(sentence in page for sentence in sentences(words))


def sentences(words: tuple[str, ...]) -> list[str]:
    """The first sentence of each command of a group."""
    group: click.Command = cli
    for word in words:
        assert isinstance(group, click.Group)
        group = group.commands[word]
    assert isinstance(group, click.Group)
    texts = [" ".join((command.help or "").split("\n\n")[0].split()) for command in group.commands.values()]
    assert all(texts)
    return [text.partition(". ")[0].rstrip(".") for text in texts]


async def _type(environment: dict[str, str], *words: str) -> Result:
    return await asyncio.to_thread(CliRunner(env={"COLUMNS": None} | environment).invoke, cli, words)
