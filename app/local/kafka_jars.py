"""The jars of Apache Kafka: pinned with hashes in `kafka.lock.json`, fetched once from Maven Central into a cache folder.

The lock lists the runtime dependencies of `org.apache.kafka:kafka_2.13`, and a logging binding. To move to another version
of Kafka, have Maven resolve it (`mvn dependency:list -DincludeScope=runtime`) and write group, artifact, version, SHA-256 and
size of each jar.
"""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import msgspec

from app.local.process import ChildFailed

LOCK_FILE = Path(__file__).with_name("kafka.lock.json")
REPOSITORY = Path(__file__).resolve().parents[2]
AT_ONCE = 8
ANSWER_WITHIN_S = 30.0  # for connecting, and for each read


class Jar(msgspec.Struct, frozen=True):
    """One artifact of Maven Central; `bytes` is its size."""

    group: str
    artifact: str
    version: str
    sha256: str
    bytes: int

    @property
    def file_name(self) -> str:
        """Its name in the cache folder."""
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path) -> tuple[Jar, ...]:
    """The jars that a lock file names."""
    return msgspec.json.decode(path.read_bytes(), type=tuple[Jar, ...])


KAFKA_JARS = read_lock(LOCK_FILE)
KAFKA_VERSION = next(jar.version for jar in KAFKA_JARS if jar.artifact == "kafka_2.13")

Download = Callable[[Jar], bytes]
"""Downloads a jar, in a thread; raises DownloadFailed."""
Report = Callable[[str], None]


class DownloadFailed(Exception):
    """The repository did not deliver a jar; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchFailed(ChildFailed):
    """A jar is missing and could not be fetched; the next start tries again."""

    def __init__(self, jar: Jar, folder: Path, reason: str) -> None:
        super().__init__(
            f"{jar.file_name} of Apache Kafka {KAFKA_VERSION} could not be fetched into {folder}: {reason}. "
            "The first start needs Maven Central; start again when it is reachable, files already fetched are kept."
        )
        self.jar = jar
        self.reason = reason


def cache_folder() -> Path:
    """Where downloads are kept: `PERPETUA_CACHE`, or `.local-cache` in the repository."""
    given = os.environ.get("PERPETUA_CACHE")
    return Path(given).expanduser().resolve() if given else REPOSITORY / ".local-cache"


def download(jar: Jar) -> bytes:
    """Fetch a jar from Maven Central."""
    from maven_artifact import Artifact, Downloader  # takes a quarter of a second, and only a first start needs it

    source = Downloader()

    def fail(_: str, error: Exception) -> None:
        raise DownloadFailed(str(error))

    address = source.resolver.uri_for_artifact(Artifact(jar.group, jar.artifact, jar.version))
    content: bytes = source.requestor.request(address, fail, lambda answer: answer.content, timeout=ANSWER_WITHIN_S)
    return content


async def fetch_jars(
    jars: Sequence[Jar] = KAFKA_JARS, *, report: Report = lambda _: None, download: Download = download
) -> Path:
    """The folder with the jars, each verified by its hash; missing or damaged ones are fetched. Raises FetchFailed.

    One process fetches at a time; a jar is checked, written under another name, and renamed.
    """
    folder = cache_folder() / f"kafka-{KAFKA_VERSION}"
    if not await asyncio.to_thread(_missing, folder, jars):
        return folder
    async with _alone_in(folder):
        if missing := await asyncio.to_thread(_missing, folder, jars):
            await _fetch_all(missing, folder, report, download)
    return folder


def _missing(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    return [jar for jar in jars if not _is_whole(folder / jar.file_name, jar)]


def _is_whole(path: Path, jar: Jar) -> bool:
    return path.is_file() and path.stat().st_size == jar.bytes and _digest(path.read_bytes()) == jar.sha256


async def _fetch_all(missing: Sequence[Jar], folder: Path, report: Report, download: Download) -> None:
    mib = sum(jar.bytes for jar in missing) / 2**20
    report(f"fetching Apache Kafka {KAFKA_VERSION}: {len(missing)} files, {mib:.0f} MiB, into {folder}")
    places, done = asyncio.Semaphore(AT_ONCE), 0

    async def fetch(jar: Jar) -> None:
        nonlocal done
        async with places:
            await asyncio.to_thread(_fetch_one, jar, folder, download)
        done += 1
        if done % AT_ONCE == 0 or done == len(missing):
            report(f"fetching Apache Kafka {KAFKA_VERSION}: {done} of {len(missing)} files")

    try:
        async with asyncio.TaskGroup() as group:
            for jar in missing:
                group.create_task(fetch(jar))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _fetch_one(jar: Jar, folder: Path, download: Download) -> None:
    try:
        content = download(jar)
    except DownloadFailed as failed:
        raise FetchFailed(jar, folder, failed.reason) from failed
    if _digest(content) != jar.sha256:
        raise FetchFailed(
            jar, folder, f"{len(content)} bytes arrived, and they are not the {jar.bytes} of kafka.lock.json"
        )
    fresh = folder / f"{jar.file_name}.new"
    try:
        fresh.write_bytes(content)
        fresh.replace(folder / jar.file_name)
    except OSError as error:
        raise FetchFailed(jar, folder, str(error)) from error


@asynccontextmanager
async def _alone_in(folder: Path) -> AsyncIterator[None]:
    with await asyncio.to_thread(_locked, folder):
        yield


def _locked(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
