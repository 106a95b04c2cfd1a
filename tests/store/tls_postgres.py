"""A PostgreSQL that takes sessions by TLS with SCRAM alone: the machine's own, since the embedded one is built without TLS."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from app.local.postgres_account import give_folder, server_identity
from app.local.process import BoundProcess, Identity, free_port, open_log
from tests.eventually import eventually
from tests.tls import Certificate

PASSWORD = "p@ss:w/rd"
_ACCESS = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"


def programs() -> Path | None:
    """The folder of the newest PostgreSQL of this machine; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@asynccontextmanager
async def tls_postgres(folder: Path, certificate: Certificate) -> AsyncIterator[int]:
    """The port of a server with the role `perpetua`, whose password is PASSWORD, and an empty database of that name."""
    where, identity, port = programs(), server_identity(folder / "data"), free_port()
    assert where is not None
    _initialize(where, folder, certificate, identity)
    command = [str(where / "postgres"), "-D", str(folder / "data"), "-k", str(folder / "data"), "-p", str(port)]
    for setting in ("listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.key"):
        command += ["-c", setting]
    with open_log(folder / "server.log") as log:
        server = await BoundProcess.spawn(command, output=log, identity=identity)
    try:
        await eventually(lambda: _prepared(f"postgresql://perpetua@/postgres?host={folder / 'data'}&port={port}"))
        yield port
    finally:
        await server.end((2, 10.0))


def _initialize(where: Path, folder: Path, certificate: Certificate, identity: Identity) -> None:
    data = folder / "data"
    give_folder(data, identity)
    user = {} if identity.uid < 0 else {"user": identity.uid, "group": identity.gid}
    initdb = [str(where / "initdb"), "-D", str(data), "-U", "perpetua", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **user)
    for source, name in ((certificate.certificate, "server.pem"), (certificate.key, "server.key")):
        shutil.copy(source, data / name)
        (data / name).chmod(0o600)
        if identity.uid >= 0:
            os.chown(data / name, identity.uid, identity.gid)
    (data / "pg_hba.conf").write_text(_ACCESS)


async def _prepared(dsn: str) -> bool:
    try:
        session = await asyncpg.connect(dsn, timeout=5)
    except (OSError, asyncpg.PostgresError):
        await asyncio.sleep(0.05)
        return False
    try:
        await session.execute(f"ALTER ROLE perpetua PASSWORD '{PASSWORD}'")
        await session.execute("CREATE DATABASE perpetua")
    finally:
        await session.close()
    return True
