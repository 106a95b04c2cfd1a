"""A Python of its own for ccxt, as its users have it: ccxt pins packages that the exchange has in other versions."""

import asyncio
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from app.local.kafka_jars import cache_folder

ROOT = Path(__file__).parents[3]
CCXT = ROOT / "clients" / "ccxt"
LOCK = CCXT / "requirements.lock"


def foreign_python() -> Path:
    """The interpreter, made once for each lock file."""
    folder = cache_folder() / f"ccxt-{sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", LOCK]
        subprocess.run(install, check=True)
        done.touch()
    return python


async def run_foreign(program: Path, *words: str, timeout_s: float = 300) -> list[str]:
    """What a program prints in that Python; it must end well."""

    def run() -> str:
        environment = {**os.environ, "PYTHONPATH": str(CCXT / "src")}
        command = [str(foreign_python()), str(program), *words]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
        assert ended.returncode == 0, ended.stderr[-4_000:]
        return ended.stdout

    return (await asyncio.to_thread(run)).splitlines()
