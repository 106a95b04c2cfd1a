"""The tools of each language, installed once from the lock files into the user's cache folder."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TYPESCRIPT, GO, JAVA = HERE / "typescript", HERE / "go", HERE / "java"
INSIST = "INSIST_ON_TOOLS"
"""Set by .ci/run: a tool that is missing fails its tests instead of skipping them."""
_COMMAND_S = 390.0
_BRIEF_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Takes half the time of a generator or a compiler: nothing of it runs long enough to be optimised."""
_MAVEN = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DexcludeTransitive=true")


def need(*programs: str) -> None:
    """Skip the test, or fail it where tools are insisted on, when a program is not on the path."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    reason = f"not on the path: {', '.join(missing)}"
    if os.environ.get(INSIST):
        pytest.fail(f"{reason}, and {INSIST} is set")
    pytest.skip(reason)


def run(folder: Path, *command: str) -> str:
    """Run a program in a folder; what it prints on its standard output. Fails with everything that it printed."""
    environment = os.environ | {"JAVA_TOOL_OPTIONS": _BRIEF_JAVA}
    return _finished(
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=_COMMAND_S, check=False)
    )


def shell(folder: Path, line: str) -> str:
    """Run a line as a person types it."""
    return run(folder, "bash", "-euo", "pipefail", "-c", line)


def _finished(done: subprocess.CompletedProcess[bytes]) -> str:
    printed = done.stdout.decode()
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}:\n{printed}\n{done.stderr.decode()}"
    return printed


def node_modules() -> Path:
    """The packages of package-lock.json."""
    with _installed(TYPESCRIPT / "package.json", TYPESCRIPT / "package-lock.json", TYPESCRIPT / ".npmrc") as folder:
        if not (folder / "complete").exists():
            run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            (folder / "complete").touch()
    return folder / "node_modules"


def generator_jar() -> Path:
    """The openapi-generator of pom.xml."""
    with _installed(JAVA / "pom.xml") as folder:
        if not (folder / "complete").exists():
            run(folder, *_MAVEN, f"-DoutputDirectory={folder}")
            (folder / "complete").touch()
    (jar,) = folder.glob("openapi-generator-cli-*.jar")
    return jar


@contextmanager
def _installed(*pins: Path) -> Iterator[Path]:
    """The cache folder of these lock files, which one process at a time fills."""
    content = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "perpetua-generators" / f"{pins[0].parent.name}-{content}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for pin in pins:
            shutil.copy(pin, folder)
        yield folder
