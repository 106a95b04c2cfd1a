"""Types of the messages, as modelina generates them from /asyncapi.json: they compile, and have what is in the records."""

import json
from pathlib import Path

import pytest

from api.documents.asyncapi import event_document
from tests.generated.toolbox import TYPESCRIPT, need, node_modules, run

FILL = {
    "marketId": "String",
    "sequence": "long",
    "time": "java.time.OffsetDateTime",
    "takerSide": "Side",
    "makerOrderId": "String",
    "cause": "String",
    "schemaVersion": "long",
}


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the types of both languages."""
    need("node", "npm", "javac")
    folder = tmp_path_factory.mktemp("types")
    (folder / "node_modules").symlink_to(node_modules())
    (folder / "event_types.mjs").write_bytes((TYPESCRIPT / "event_types.mjs").read_bytes())
    (folder / "asyncapi.json").write_text(json.dumps(event_document()))
    run(folder, "node", "event_types.mjs", "asyncapi.json", "types")
    return folder / "types"


def test_types_of_java_compile(types: Path) -> None:
    """Every one; a fill has 64-bit numbers, a time, and a cause that may be a word of tomorrow."""
    sources = sorted(str(path) for path in (types / "java").iterdir())
    assert len(sources) > 60
    run(types, "javac", "-d", "classes", *sources)
    fill = (types / "java" / "PublicFill.java").read_text()
    for name, kind in FILL.items():
        assert f"private {kind} {name};" in fill


def test_types_of_typescript_compile(types: Path) -> None:
    """Under --strict, with a handler that tells messages apart by `op` and reads a fill."""
    (types / "ts" / "read.ts").write_text(READER)
    run(types / "ts", "npx", "tsc", "--strict", "--noEmit", *(path.name for path in (types / "ts").iterdir()))


READER = """
import { BookSnapshot } from "./BookSnapshot";
import { BookUpdate } from "./BookUpdate";
import { PublicFill } from "./PublicFill";

export function best(message: BookSnapshot | BookUpdate): string {
  return message.op === "snapshot" ? String(message.resync ?? false) : `${message.previous} ${message.bids[0][0]}`;
}
export const causes = (fill: PublicFill): [string, number, string | null] => [fill.cause, fill.sequence, fill.makerOrderId];
"""
