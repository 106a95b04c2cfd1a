"""A command reports the database's refusal in one sentence."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.store.roles import as_role, make_roles

ROOT = Path(__file__).parents[2]
STRANGERS = {
    "a right that the role lacks": (lambda dsn: as_role(dsn, "publisher"), "permission denied for"),
    "a role that is not there": (lambda dsn: as_role(dsn, "nobody"), "perpetua_nobody"),
    "a database that is not there": (lambda dsn: dsn.replace("?", "_else?", 1), "does not exist"),
}


@pytest.mark.parametrize("case", STRANGERS)
async def test_a_refusal_is_one_line(database: str, case: str) -> None:
    """Exit code 1 and PostgreSQL's own words, no traceback."""
    await make_roles(database)
    spelled, saying = STRANGERS[case]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "audit"),
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": spelled(database)},
        stdout=PIPE,
        stderr=PIPE,
    )
    printed, message = (output.decode() for output in await process.communicate())
    assert (process.returncode, printed, message.count("\n")) == (1, "", 1), message
    assert message.startswith("the database refuses: ")
    assert saying in message
