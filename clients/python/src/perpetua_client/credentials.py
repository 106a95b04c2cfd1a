"""How a call says whose it is."""

from typing import Protocol


class Credentials(Protocol):
    """Makes the headers of a call, and the fields of `auth` on the socket."""

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """The headers of one request; `path` has its query."""
        ...

    def auth(self) -> dict[str, str | int]:
        """The fields of `auth`."""
        ...


class Bearer:
    """The token of a login, or the secret of an API key, sent with each call."""

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:  # noqa: ARG002 - as the protocol says
        """`Authorization: Bearer …`."""
        return {"Authorization": f"Bearer {self._token}"}

    def auth(self) -> dict[str, str | int]:
        """The token."""
        return {"token": self._token}
