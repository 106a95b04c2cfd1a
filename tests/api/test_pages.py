"""The pages for people: where they are served, how they are cached, what they may load; and what a browser sees of a refusal."""

import gzip
import re
from pathlib import PurePosixPath

import pytest

from api.documents.web_tree import WEB_TREE, WebTree
from tests.api.exchange import Client, Exchange, Reply

PAGES = ("/", "/trade/BTC-PERP", "/operate")
FIRST_LOAD_MAX = 300 * 1024
AS_BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def _files_of(page: Reply) -> list[str]:
    return re.findall(r'(?:src|href)="(/web/[^"]+)"', page.body)


async def _as_browser(client: Client, path: str) -> Reply:
    return await client.call("GET", path, headers=AS_BROWSER)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_only_files_of_this_server(exchange: Exchange, path: str) -> None:
    """Nothing inline, no other origin; each file that it names is there under the hash of all files, and kept for good."""
    nobody = exchange.anonymous()
    page = await nobody.get(path)
    policy = page.headers["Content-Security-Policy"]
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-cache"
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?:", page.body)
    assert len(_files_of(page)) > 20
    for name in _files_of(page):
        file = await nobody.get(name)
        assert file.status == 200, name
        assert "immutable" in file.headers["Cache-Control"], name


async def test_a_file_of_another_release_is_asked_for_again(exchange: Exchange) -> None:
    """A page of the release before names files under its hash: they are served, but not kept."""
    nobody = exchange.anonymous()
    old = await nobody.get("/web/0123456789abcdef/lib/api.js")
    assert (old.status, old.headers["Cache-Control"]) == (200, "no-cache")
    again = await nobody.call("GET", "/web/0123456789abcdef/lib/api.js", headers={"If-None-Match": old.headers["ETag"]})
    assert again.status == 304


async def test_only_files_of_the_pages_are_served(exchange: Exchange) -> None:
    """No page as a file, no licence, nothing outside the folder."""
    nobody = exchange.anonymous()
    for name in (
        "trade.html",
        "vendor/htm/LICENSE",
        "vendor/VENDORED.json",
        "../pyproject.toml",
        "%2e%2e/pyproject.toml",
        "lib",
    ):
        reply = await nobody.get(f"/web/{WEB_TREE.version}/{name}")
        assert (reply.status, reply.code) == (404, "NOT_FOUND"), name


async def test_the_first_load_is_small(exchange: Exchange) -> None:
    """The trading page with all its modules and styles, compressed, is at most 300 KiB."""
    nobody = exchange.anonymous()
    page = await nobody.get("/")
    total = len(gzip.compress(page.body.encode()))
    for name in _files_of(page):
        headers = {"Accept-Encoding": "gzip"}
        async with exchange.session.get(nobody.url + name, headers=headers, auto_decompress=False) as answer:
            total += len(await answer.read())
    assert total <= FIRST_LOAD_MAX


def test_a_changed_file_changes_every_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The hash in the addresses is of all files: no module is ever mixed with those of another release."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "page.html").write_text('<!-- modules --><script type="module" src="/web/a.js"></script>')
    (folder / "a.js").write_text('import { b } from "./deep/b.js";\n')
    (folder / "deep").mkdir()
    (folder / "deep" / "b.js").write_text('export { c as b } from "../c.js";\n')
    (folder / "c.js").write_text("export const c = 1;\n")
    before = WebTree(folder)
    (folder / "c.js").write_text("export const c = 2;\n")
    after = WebTree(folder)
    assert before.version != after.version
    for tree in (before, after):
        named = re.findall(r'href="/web/(\w+)/([^"]+)"', tree.completed("page.html"))
        assert named == [(tree.version, name) for name in ("a.js", "deep/b.js", "c.js")]


async def test_a_browser_sees_a_page_and_a_program_json(exchange: Exchange) -> None:
    """Whoever opens an unknown address, or one that needs a token, reads what is wrong; a program gets the body it knows."""
    nobody = exchange.anonymous()
    for path, status, code in (
        ("/nothing", 404, "NOT_FOUND"),
        ("/balances", 401, "UNAUTHENTICATED"),
        ("/?x=1", 400, "INVALID_REQUEST"),
    ):
        page, plain = await _as_browser(nobody, path), await nobody.get(path)
        assert (page.status, plain.status, plain.code) == (status, status, code)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
        assert code in page.body
        assert page.headers["X-Request-Id"] in page.body
        assert "{{" not in page.body
    assert "WWW-Authenticate" in (await _as_browser(nobody, "/balances")).headers
    for method in ("POST", "DELETE"):
        refused = await nobody.call(method, "/nothing", headers=AS_BROWSER)
        assert (refused.status, refused.code) == (404, "NOT_FOUND")


async def test_what_a_page_repeats_of_an_address_is_text(exchange: Exchange) -> None:
    """Markup in an address never becomes markup in the page about it."""
    nobody = exchange.anonymous()
    for path in ("/markets/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/orders?limit=%3Cimg%20src=x%20onerror=alert(1)%3E"):
        page = await _as_browser(nobody, path)
        assert page.status in {400, 401, 404}
        assert "<img" not in page.body
        assert "alert(1)</script>" not in page.body


def test_the_scripts_put_no_text_into_markup() -> None:
    """Whatever a user typed is rendered as text: no script of ours assembles markup, runs text or asks another origin."""
    sources = {
        name: content.decode()
        for name, content in WEB_TREE.sources.items()
        if PurePosixPath(name).suffix == ".js" and not name.startswith("vendor/")
    }
    assert len(sources) > 30
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(|new Function|setTimeout\(['\"]"
    )
    assert not [name for name, text in sources.items() if forbidden.search(text)]
    urls = {url for text in sources.values() for url in re.findall(r"https?://[^\s\"'`]+", text)}
    assert urls <= {"https://www.tradingview.com/"}
