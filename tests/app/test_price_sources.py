"""Price sources as an operator describes them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from agents.prices.http_poll import HttpPoll
from agents.prices.random_walk import RandomWalk
from agents.prices.recorded import Recorded
from app.cli import cli
from app.price_sources import SourceRefused, sources_of_file, sources_of_options
from app.settings import Mode, Settings

LOCAL = Settings()
PRODUCTION = Settings(mode=Mode.PRODUCTION)
VENUE = "venue=http:url=https://venue.example/ticker?symbol=BTC,pointer=/last,timeoutMs=500"


def test_a_source_is_a_name_a_kind_and_its_options() -> None:
    """On the command line."""
    walk, venue = sources_of_options(
        LOCAL, "BTC-PERP", ["w=random-walk:start=60000,seed=7,stepPpm=0,noisePpm=0", VENUE]
    )
    assert isinstance(walk, RandomWalk)
    assert isinstance(venue, HttpPoll)
    assert (walk.name, walk.market, walk.next_price()) == ("w", "BTC-PERP", 60_000 * 10**9)
    assert venue._url == "https://venue.example/ticker?symbol=BTC"


def test_a_file_names_sources_of_any_markets(tmp_path: Path) -> None:
    """The same options under the same names, a table each."""
    (tmp_path / "day.csv").write_text("0,60000\n")
    path = tmp_path / "prices.toml"
    path.write_text(
        '[[source]]\nmarket = "BTC-PERP"\nname = "rec"\nkind = "recorded"\n'
        f'file = "{tmp_path / "day.csv"}"\nspeed = 10\n'
        '[[source]]\nmarket = "ETH-PERP"\nname = "w"\nkind = "random-walk"\nstart = "3000"\n'
    )
    recorded, walk = sources_of_file(LOCAL, path)
    assert (type(recorded), recorded.market, type(walk), walk.market) == (Recorded, "BTC-PERP", RandomWalk, "ETH-PERP")


@pytest.mark.parametrize(
    "option",
    [
        *("", "w", "w=", "w=nothing", "w=random-walk", "w=random-walk:start=-1", "w=random-walk:start=60000,more=1"),
        *("w=random-walk:start=1,everyMs=1", "w=random-walk:start=1,seed=x", "r=recorded:file=/nowhere/at/all"),
        *("v=http:url=file:///etc/passwd,pointer=/a", "v=http:url=https://a.example,pointer=a", "v=http:pointer=/a"),
    ],
)
def test_what_is_no_source_is_refused(option: str) -> None:
    """Before anything is watched, and in words: no name of a type."""
    with pytest.raises(SourceRefused) as refused:
        sources_of_options(LOCAL, "BTC-PERP", [option])
    assert "`" not in refused.value.why


@pytest.mark.parametrize("text", ["", "x = 1", "source = 1", "source = [1]", "[[source", "[[source]]\nname = 1"])
def test_a_file_that_names_no_sources_is_refused(text: str, tmp_path: Path) -> None:
    """Whatever it says."""
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(SourceRefused):
        sources_of_file(LOCAL, path)


def test_production_accepts_no_invented_prices() -> None:
    """Nobody's position is valued at a random walk."""
    assert sources_of_options(PRODUCTION, "BTC-PERP", [VENUE])
    for option in ("w=random-walk:start=60000", "r=recorded:file=/nowhere"):
        with pytest.raises(SourceRefused, match="production"):
            sources_of_options(PRODUCTION, "BTC-PERP", [option])


@pytest.mark.parametrize(
    "words",
    [
        *((), ("--market", "BTC-PERP"), ("--source", VENUE), ("--market", "BTC-PERP", "--source", "w")),
        *(("--market", "BTC-PERP", "--source", VENUE, "--source", VENUE), ("--file", "/nowhere")),
    ],
)
def test_wrong_use_of_prices_exits_with_2(words: tuple[str, ...]) -> None:
    """And says why."""
    answer = CliRunner().invoke(cli, ["prices", *words])
    assert answer.exit_code == 2, answer.output
