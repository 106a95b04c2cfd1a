"""What the operator's market commands refuse before anything reaches a market's log."""

import pytest
from click.testing import CliRunner

from app.cli import cli
from schemas.wire import RULES_VERSION


@pytest.mark.parametrize("price", ["0", "-5", "1e3", "0.0000000001", "1000000000.000000001", "1000000000000"])
def test_an_index_that_would_stop_the_projection_never_reaches_the_log(price: str) -> None:
    """A command is in the log for good: an index that the tables cannot hold would stop its market for ever."""
    answer = CliRunner().invoke(cli, ["market", "set-index", "BTC-PERP", "--", price])
    assert answer.exit_code == 2
    assert "at most" in answer.output


@pytest.mark.parametrize("version", ["0", "-1", str(RULES_VERSION + 1), "1.5", "x"])
def test_rules_that_no_code_knows_never_reach_the_log(version: str) -> None:
    """Such a command would stop its market until somebody wrote the code: this release takes only what it knows."""
    answer = CliRunner().invoke(cli, ["market", "rules", "BTC-PERP", "--", version])
    assert answer.exit_code == 2
