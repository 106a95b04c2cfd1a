"""A certificate for 127.0.0.1 that only the test trusts, made by openssl."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """A self-signed certificate, which is its own authority, and its key; PEM files."""

    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """Make one, good for a day, for 127.0.0.1 and localhost."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=perpetua test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(made.key), "-out", str(made.certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return made
