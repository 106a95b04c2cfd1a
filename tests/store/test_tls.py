"""PostgreSQL by TLS with SCRAM: `DATABASE_URL` says it all, and every way to the database goes by it."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlencode

import asyncpg
import pytest
import pytest_asyncio

from api.database import Database
from schemas.units import Timestamp
from store.markets.registry import load_registry, seed
from store.schema.migrate import migrate
from store.session.connect import connect_reader_pool, connect_writer
from tests.store.tls_postgres import PASSWORD, programs, tls_postgres
from tests.tls import Certificate, make_certificate

pytestmark = pytest.mark.skipif(
    programs() is None, reason="no PostgreSQL under /usr/lib/postgresql: the wheel has no TLS"
)


@pytest_asyncio.fixture(name="server", scope="module", loop_scope="module")
async def server_with_tls() -> AsyncIterator[tuple[int, Certificate]]:
    """A separate server, and the certificate that it shows."""
    with tempfile.TemporaryDirectory(prefix="perpetua-tls-") as folder:
        certificate = make_certificate(Path(folder))
        async with tls_postgres(Path(folder), certificate) as port:
            yield port, certificate


def _dsn(port: int, password: str = PASSWORD, **query: str) -> str:
    return f"postgresql://perpetua:{quote(password, safe='')}@127.0.0.1:{port}/perpetua?{urlencode(query)}"


async def test_every_way_to_the_database_goes_by_tls(server: tuple[int, Certificate]) -> None:
    """Migration (psycopg), writers and the API's pool (asyncpg): the server sees TLS, and the certificate is checked."""
    port, certificate = server
    dsn = _dsn(port, sslmode="verify-full", sslrootcert=str(certificate.certificate))
    migrate(dsn)
    await seed(dsn, Timestamp(1_800_000_000_000_000))
    writer = await connect_writer(dsn, "a worker")
    assert (await load_registry(writer)).by_name
    database = Database(await connect_reader_pool(dsn, "api"))
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert await writer.fetchval(query)
    assert await database.run(lambda session: session.fetchval(query))
    assert (await writer.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'perpetua'")).startswith("SCRAM-")
    await writer.close()
    database.close()


async def test_what_is_not_safe_is_refused(server: tuple[int, Certificate], tmp_path: Path) -> None:
    """By the server a wrong password and a session in clear; by us a certificate that our authority has not signed."""
    port, certificate = server
    foreign = make_certificate(tmp_path).certificate
    ours, verified = str(certificate.certificate), "verify-full"
    refused: dict[str, type[Exception]] = {
        _dsn(port, "wrong", sslmode=verified, sslrootcert=ours): asyncpg.InvalidPasswordError,
        _dsn(port, sslmode="disable"): asyncpg.InvalidAuthorizationSpecificationError,
        _dsn(port, sslmode=verified, sslrootcert=str(foreign)): OSError,
    }
    for dsn, error in refused.items():
        with pytest.raises(error):
            await connect_writer(dsn, "a worker")
        with pytest.raises(ConnectionError):
            migrate(dsn)
