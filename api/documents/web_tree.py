"""The files of `web/`: pages that name their scripts and styles under the hash of all of them, so that a browser keeps them.

Modules import each other by relative paths, so the hash in the address of the first is in the addresses of all.
"""

import re
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from aiohttp import web

from api.documents.static_files import StaticFile
from api.security_headers import FRAMED_BY_NOBODY

WEB = Path(__file__).parents[2] / "web"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
) + FRAMED_BY_NOBODY
"""`connect-src 'self'` allows the socket of the same origin. No page has an inline script or style."""

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_SERVED_ELSEWHERE = "vendor/swagger-ui/"
_PLACEHOLDER = "/web/"
_PRELOADS = "<!-- modules -->"
_HEAD = re.compile(r"<!-- head: (.+) -->")
_ENTRY = re.compile(r'<script type="module" src="/web/([^"]+)">')
_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*?from\s*["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)


class WebTree:
    """Every script, style and picture below a folder, and the pages made of them."""

    def __init__(self, folder: Path = WEB) -> None:
        self._folder = folder
        self.sources: dict[str, bytes] = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and not path.relative_to(folder).as_posix().startswith(_SERVED_ELSEWHERE)
        }
        self._files = {
            name: StaticFile(name, content, _TYPES[PurePosixPath(name).suffix], PAGE_POLICY)
            for name, content in self.sources.items()
        }
        self.version = _hash_of(self.sources)

    async def answer(self, request: web.Request) -> web.Response:
        """The file `{file}` of the request; cached for good under the present `{version}`, asked for again under another."""
        found = self._files.get(request.match_info["file"])
        if found is None:
            raise web.HTTPNotFound
        return await found.answer(request, is_immutable=request.match_info["version"] == self.version)

    def page(self, name: str) -> StaticFile:
        """A page as it is served."""
        return StaticFile(name, self.completed(name).encode(), "text/html", PAGE_POLICY)

    def completed(self, name: str) -> str:
        """A page with the head that all share and the addresses of its files.

        The modules that its script imports are named, for the browser to fetch at once.
        """
        text = _HEAD.sub(self._head, (self._folder / name).read_text())
        entry = _ENTRY.search(text)
        modules = self._modules_of(entry[1]) if entry else []
        preloads = "\n    ".join(f'<link rel="modulepreload" href="/web/{module}">' for module in modules)
        return text.replace(_PRELOADS, preloads).replace(f'"{_PLACEHOLDER}', f'"{_PLACEHOLDER}{self.version}/')

    def _head(self, named: re.Match[str]) -> str:
        """What is in the head of every page, with the title of this one."""
        return (self._folder / "head.html").read_text().strip().replace("{{title}}", named[1])

    def _modules_of(self, entry: str) -> list[str]:
        """The module and all that it imports, each once, in the order in which they are met."""
        found: dict[str, None] = {}
        waiting = [entry]
        while waiting:
            name = waiting.pop(0)
            if name not in found:
                found[name] = None
                waiting += [_beside(name, other) for other in _IMPORT.findall(self.sources[name].decode())]
        return list(found)


def _beside(module: str, relative: str) -> str:
    """The file that a relative path in a module names."""
    parts = list(PurePosixPath(module).parent.parts)
    for part in PurePosixPath(relative).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _hash_of(content: dict[str, bytes]) -> str:
    """One hash of all names and contents."""
    total = blake2b(digest_size=8)
    for name, body in content.items():
        total.update(f"{name}\0{len(body)}\0".encode() + body)
    return total.hexdigest()


WEB_TREE = WebTree()
"""The one of this process: its files do not change while it runs."""
