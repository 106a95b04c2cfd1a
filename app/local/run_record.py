"""DATA/run.json: how the command line finds a running tree."""

import os
from pathlib import Path

import msgspec

from app.local.folder_lock import is_taken

FILE_NAME = "run.json"


class RunRecord(msgspec.Struct, frozen=True, rename="camel"):
    """How to reach a local exchange, the process id of each of its children by name, and the session timeout of its workers."""

    pid: int
    url: str
    database_url: str
    broker_url: str
    cluster_id: str
    children: dict[str, int]
    session_timeout_s: float = 6.0


def write_run_record(folder: Path, record: RunRecord) -> None:
    """Replace the record in one step, readable only by its owner: a reader sees the old one or the new one."""
    fresh = folder / f"{FILE_NAME}.{os.getpid()}"
    fresh.touch(mode=0o600)
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    fresh.replace(folder / FILE_NAME)


def read_run_record(folder: Path) -> RunRecord | None:
    """The record of the tree that runs on this folder now; None when none runs, even if a killed one left a record."""
    path = folder / FILE_NAME
    if not path.exists() or not is_taken(folder):
        return None
    return msgspec.json.decode(path.read_bytes(), type=RunRecord)


def forget_run_record(folder: Path) -> None:
    """Delete the record, because the tree has stopped."""
    (folder / FILE_NAME).unlink(missing_ok=True)
