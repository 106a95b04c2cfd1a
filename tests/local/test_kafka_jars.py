"""The programs of Kafka: fetched once, each with the hash of the lock file; a failed download is reported in a sentence."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from app.local import kafka_jars
from app.local.kafka_heap import check_heap
from app.local.kafka_jars import KAFKA_JARS, KAFKA_VERSION, DownloadFailed, FetchFailed, Jar, fetch_jars
from app.local.kafka_jvm import cache_path, java_command

CONTENT = {"one": b"the first jar", "two": b"the second jar"}
JARS = [Jar("org.example", name, "1", hashlib.sha256(body).hexdigest(), len(body)) for name, body in CONTENT.items()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; where its jars go."""
    monkeypatch.setenv("PERPETUA_CACHE", str(tmp_path))
    return tmp_path / f"kafka-{KAFKA_VERSION}"


def repository(asked: list[str], **bad: bytes | DownloadFailed) -> Callable[[Jar], bytes]:
    """A repository that gives what it should, or something else, and remembers what it was asked for."""

    def download(jar: Jar) -> bytes:
        asked.append(jar.artifact)
        given = bad.get(jar.artifact, CONTENT[jar.artifact])
        if isinstance(given, DownloadFailed):
            raise given
        return given

    return download


def kept_in(folder: Path) -> dict[str, bytes]:
    """Every jar of a folder, half-written ones too."""
    return {path.name: path.read_bytes() for path in folder.glob("*.jar*")}


async def test_jars_are_fetched_once(folder: Path) -> None:
    """The second start asks nobody: it works without a network."""
    asked, said = list[str](), list[str]()
    for _ in range(2):
        assert await fetch_jars(JARS, report=said.append, download=repository(asked)) == folder
    assert sorted(asked) == ["one", "two"]
    assert kept_in(folder) == {f"{name}-1.jar": body for name, body in CONTENT.items()}
    assert "2 files" in said[0]
    assert "2 of 2" in said[-1]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"the first j", "11 bytes arrived, and they are not the 13"),
        (b"another jar !", "13 bytes arrived, and they are not"),
        (DownloadFailed("no route"), "no route"),
    ],
)
async def test_a_bad_download_is_a_sentence_and_is_repeated(
    folder: Path, bad: bytes | DownloadFailed, reason: str
) -> None:
    """Complete files are kept, incomplete ones never exist under their name, and the next start requests only those."""
    asked = list[str]()
    with pytest.raises(FetchFailed, match=reason) as failed:
        await fetch_jars(JARS[:1], download=repository(asked, one=bad))
    assert "one-1.jar" in str(failed.value)
    assert kept_in(folder) == {}
    await fetch_jars(JARS[1:], download=repository(asked))
    asked.clear()
    await fetch_jars(JARS, download=repository(asked))
    assert asked == ["one"]


async def test_a_damaged_jar_is_fetched_again(folder: Path) -> None:
    """A disk that lost a page: the same size, another hash."""
    asked = list[str]()
    await fetch_jars(JARS, download=repository(asked))
    (folder / "two-1.jar").write_bytes(CONTENT["two"].swapcase())
    await fetch_jars(JARS, download=repository(asked))
    assert asked[2:] == ["two"]


def test_every_jar_of_the_lock_has_a_hash_and_a_name_of_its_own() -> None:
    """Kafka is among them, the tools that only an operator needs are not."""
    names = {jar.file_name for jar in KAFKA_JARS}
    assert len(names) == len(KAFKA_JARS)
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in names
    assert all(len(jar.sha256) == 64 and jar.bytes > 0 for jar in KAFKA_JARS)
    assert not any("kafka-tools-4" in name for name in names)


def test_a_cache_belongs_to_one_heap_and_one_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another heap, processor or set of options is another cache, which has to be made first."""
    first = cache_path(folder, "256m")
    assert cache_path(folder, "256m") == first
    assert cache_path(folder, "512m") != first
    monkeypatch.setattr("app.local.kafka_jvm._processor", lambda: "another")
    assert cache_path(folder, "256m") != first


@pytest.mark.parametrize("text", ["128m", "256m", "1g", "64g"])
def test_a_heap_is_taken(text: str) -> None:
    """As Java writes it."""
    assert check_heap(text) == text


@pytest.mark.parametrize("text", ["", "256", "64m", "65g", "1G", "0g", "-1g", "1.5g", "256m\n", "256 m", "9999999m"])
def test_a_heap_that_kafka_cannot_run_with_is_refused(text: str) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match="128m to 64g"):
        check_heap(text)


def test_the_lock_is_read_where_it_lies() -> None:
    """The version of Kafka is that of its own jar."""
    assert kafka_jars.read_lock(kafka_jars.LOCK_FILE) == KAFKA_JARS


def test_the_class_path_is_the_jars_of_the_lock_alone(folder: Path) -> None:
    """Found by a slow start: another jar in the folder changed the class path, and the machine passed over the cache."""
    command = java_command(folder, folder, ["kafka.Kafka"], heap="256m")
    class_path = command[command.index("-cp") + 1].split(":")
    assert class_path == [str(folder / jar.file_name) for jar in KAFKA_JARS]
