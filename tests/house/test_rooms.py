"""The house itself: every package is ours, and every file is in its room."""

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agents", "api", "app", "broker", "exchange", "schemas", "store", "tables")
TOP_LEVEL = {
    *(".ci", ".dockerignore", ".gitattributes", ".gitignore", "CHANGELOG.md", "Dockerfile", "Makefile", "README.md"),
    *("CONTRIBUTING.md", "SECURITY.md"),
    *("docker-compose.yml", "pyproject.toml", "mkdocs.yml"),
    *("requirements.lock", "requirements-dev.lock", "requirements-docs.lock"),
    *("bench", "clients", "docs", "tests", "web"),
    *ROOMS,
}
DRIVERS_OF_POSTGRES = {"asyncpg", "psycopg"}
DRIVERS_OF_KAFKA = {"aiokafka", "faust", "mode"}
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "base", "data", "info"}


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in listed.splitlines()]


def _imports(path: Path) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("room", ROOMS)
def test_each_package_came_from_this_tree(room: str) -> None:
    """`tables` and `agents` are names on PyPI too: what is imported must be ours."""
    package = importlib.import_module(room)
    assert package.__file__ is not None
    assert Path(package.__file__).parent == ROOT / room


def test_nothing_is_outside_the_rooms() -> None:
    """The top level holds the rooms that CONTRIBUTING.md lists, and nothing else."""
    assert {path.parts[0] for path in _tracked()} <= TOP_LEVEL


def test_only_store_and_the_roof_talk_to_postgresql() -> None:
    """SQL lives in store/; workers and routes are handed what they need, and at most name the driver's types."""
    pure = [
        path
        for path in _tracked()
        if path.suffix == ".py" and path.parts[0] in {"schemas", "exchange", "tables", "broker"}
    ]
    assert pure
    assert not [path for path in pure if _imports(path) & DRIVERS_OF_POSTGRES]


def test_only_the_stream_talks_to_kafka() -> None:
    """The store, the API and the pure market know no broker."""
    dry = [
        path for path in _tracked() if path.suffix == ".py" and path.parts[0] in {"schemas", "exchange", "store", "api"}
    ]
    assert dry
    assert not [path for path in dry if _imports(path) & DRIVERS_OF_KAFKA]


def test_no_file_has_a_vague_name() -> None:
    """A file is named for its subject."""
    assert not [path for path in _tracked() if path.suffix == ".py" and path.stem in FORBIDDEN_NAMES]


def test_money_has_no_float() -> None:
    """Neither the language nor the market nor the store divides into floats or names the type."""
    rooms = {"schemas", "exchange"}
    found = []
    for path in _tracked():
        if path.suffix == ".py" and path.parts[0] in rooms:
            nodes = list(ast.walk(ast.parse((ROOT / path).read_text())))
            found += [path for node in nodes if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)]
            found += [path for node in nodes if isinstance(node, ast.Name) and node.id == "float"]
            found += [path for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, float)]
    assert not found


def test_the_schema_keeps_money_exact() -> None:
    """No column of the database is a floating-point number."""
    files = list((ROOT / "store/schema/migrations/sql").glob("*.sql"))
    assert files
    sql = "\n".join(line for path in files for line in path.read_text().lower().splitlines() if "--" not in line)
    assert not re.findall(r"\b(double precision|real|float\d?|money)\b", sql)


PUBLIC_AIOHTTP = {"aiohttp", "aiohttp.web", "aiohttp.typedefs", "aiohttp.http_exceptions"}
"""What of aiohttp the API may name outside its fast path."""


def test_only_the_fast_path_uses_private_names_of_aiohttp() -> None:
    """A new release of aiohttp can break that one room only."""
    leaning = set()
    for path in _tracked():
        if path.suffix == ".py" and path.parts[0] == "api":
            for node in ast.walk(ast.parse((ROOT / path).read_text())):
                is_inside = isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aiohttp"
                if is_inside and node.module not in PUBLIC_AIOHTTP:
                    leaning.add(path.parent)
                if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                    owner = node.value.id if isinstance(node.value, ast.Name) else ""
                    if owner in {"web", "app", "payload", "request", "response", "transport"}:
                        leaning.add(path.parent)
    assert leaning == {Path("api/fast_path")}


FILES_MAX = 15
FLAT = {"tests", "docs"}  # a test file for each subject, a page for each


def test_no_room_has_too_many_modules() -> None:
    """A room lists at most fifteen modules side by side, its `__init__` not counted."""
    modules = [path for path in _tracked() if path.suffix == ".py" and path.name != "__init__.py"]
    counted = Counter(path.parent for path in modules if path.parts[0] not in FLAT)
    assert not {str(room): count for room, count in counted.items() if count > FILES_MAX}


def test_one_place_writes_the_outbox() -> None:
    """Numbering a command, writing it and waking the relay is one SQL function, `number_commands`; every caller uses it.

    By `append_commands` where it needs no times; what that was before, a later migration replaces.
    """
    writes = re.compile(r"INSERT\s+INTO\s+outbox\b", re.IGNORECASE)
    sources = [
        path for path in _tracked() if path.suffix in {".py", ".sql"} and path.parts[0] not in {"tests", "bench"}
    ]
    assert [str(path) for path in sources if writes.search((ROOT / path).read_text())] == [
        "store/schema/migrations/sql/0015_functions.sql",
        "store/schema/migrations/sql/0024_command_times.sql",
    ]


def test_a_command_loads_only_what_it_needs() -> None:
    """The command line starts without the server, the stream and the log formatter: they would triple its start."""
    heavy = ("aiohttp", "faust", "structlog", "argon2", "psycopg", "prometheus_client", "uvloop")
    asked = f"import sys, app.cli; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
