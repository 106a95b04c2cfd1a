"""The sync class for ccxt is made of the async one."""

import importlib.util
from types import ModuleType

from tests.clients.ccxt.foreign_python import CCXT


def test_the_sync_class_is_up_to_date() -> None:
    """After a change: `python clients/ccxt/unasync.py`, and the formatter."""
    unasync = _module()
    written = (CCXT / "src" / "perpetua_ccxt" / "rest_sync.py").read_text()
    assert _words(written) == _words(unasync.sync_source())


def _words(source: str) -> str:
    """A source as what it says, without how the formatter breaks its lines."""
    return "".join(source.split()).replace(",)", ")").replace(",]", "]").replace(",}", "}")


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unasync", CCXT / "unasync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
