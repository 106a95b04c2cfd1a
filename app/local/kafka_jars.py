"""The programs of Apache Kafka, fetched once by Maven into a cache folder beside the repository."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from app.local.process import ChildFailed

KAFKA_VERSION = "4.1.1"
POM = Path(__file__).with_name("pom.xml")
REPOSITORY = Path(__file__).resolve().parents[2]


class FetchFailed(ChildFailed):
    """Maven could not bring the jars; what it said."""

    def __init__(self, output: str) -> None:
        super().__init__(f"Maven could not fetch Apache Kafka {KAFKA_VERSION}:\n{output}")
        self.output = output


def cache_folder() -> Path:
    """Where the jars lie: below `PERPETUA_CACHE`, or below `.local-cache` of the repository."""
    root = os.environ.get("PERPETUA_CACHE")
    return (Path(root) if root else REPOSITORY / ".local-cache") / f"kafka-{KAFKA_VERSION}"


def is_available() -> bool:
    """Whether a local Kafka can run here: Java is found, and its jars or the Maven to fetch them."""
    return shutil.which("java") is not None and (cache_folder().is_dir() or shutil.which("mvn") is not None)


async def fetch_jars() -> Path:
    """The cache folder, filled: half a minute the first time, at once later. Raises FetchFailed.

    Copied into a folder of its own and renamed, so a cache is whole or not there. One fetches at a time, for Maven's own
    store does not bear two; whoever waited finds the cache filled.
    """
    folder = cache_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "fetching").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        return folder if folder.is_dir() else await _fetch_into(folder)


async def _fetch_into(folder: Path) -> Path:
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        await _copy_dependencies(fresh)
        _publish(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _publish(fresh: Path, folder: Path) -> None:
    fresh.chmod(0o755)
    if not folder.is_dir():
        fresh.rename(folder)


async def _copy_dependencies(folder: Path) -> None:
    command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    maven = await asyncio.create_subprocess_exec(
        *command, f"-DoutputDirectory={folder}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await maven.communicate()
    if maven.returncode != 0:
        raise FetchFailed(output.decode(errors="replace")[-4000:])
