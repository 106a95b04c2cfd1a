"""Files that do not change while the process runs: compressed once, and named by their content so that a browser keeps them."""

import asyncio
import gzip
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import PurePath

from aiohttp import web

COMPRESSED_FROM_BYTES = 1_024
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"  # keep it, but ask whether it has changed


class StaticFile:
    """One file: its content, plain and compressed with gzip at the first request for that."""

    def __init__(self, name: str, content: bytes, content_type: str, policy: str = "") -> None:
        self.name = name
        self._content = content
        self._content_type = content_type
        self._policy = policy
        self._packed: bytes | None = None
        self._hash = blake2b(content, digest_size=8).hexdigest()

    @property
    def hashed_name(self) -> str:
        """The name with the hash of the content before its suffix: another content has another name."""
        path = PurePath(self.name)
        return f"{path.stem}.{self._hash}{path.suffix}"

    async def answer(self, request: web.Request, *, is_immutable: bool = False) -> web.Response:
        """The file, or 304 if the client has this content already."""
        tag = f'W/"{self._hash}"'  # weak: the same for the plain and the compressed form
        headers = {"ETag": tag, "Cache-Control": FOR_GOOD if is_immutable else ASK_AGAIN, "Vary": "Accept-Encoding"}
        if self._policy:
            headers["Content-Security-Policy"] = self._policy
        if any(known.value in {self._hash, "*"} for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = self._content
        if len(body) >= COMPRESSED_FROM_BYTES and _accepts_gzip(request):
            body, headers["Content-Encoding"] = await self._compressed(), "gzip"
        charset = "utf-8" if self._content_type.startswith("text/") else None
        return web.Response(body=body, content_type=self._content_type, charset=charset, headers=headers)

    async def _compressed(self) -> bytes:
        """In a thread: the largest file takes 50 ms, and orders must not wait for it."""
        if self._packed is None:
            self._packed = await asyncio.to_thread(gzip.compress, self._content, mtime=0)
        return self._packed


def named_by_hash(page: bytes, files: Iterable[StaticFile]) -> bytes:
    """A page that names these files, naming them by their hash."""
    for file in files:
        page = page.replace(f"/docs/{file.name}".encode(), f"/docs/{file.hashed_name}".encode())
    return page


def _accepts_gzip(request: web.Request) -> bool:
    """Whether the client names gzip, other than with weight 0."""
    for part in request.headers.get("Accept-Encoding", "").lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return not weight or weight.strip("0.") != ""
    return False
