"""Writes the sync class of the asynchronous one, as ccxt does with its own: `python clients/ccxt/unasync.py`."""

import re
from pathlib import Path

SOURCE = Path(__file__).parent / "src" / "perpetua_ccxt"


def sync_source() -> str:
    """The source of the sync class."""
    text = (SOURCE / "rest_async.py").read_text()
    text = re.sub(r"\basync def ", "def ", re.sub(r"\bawait ", "", text))
    text = text.replace("import ccxt.async_support as ccxt", "import ccxt")
    about = '"""The exchange for ccxt, sync. Written by `python clients/ccxt/unasync.py` from rest_async.py; a test compares them."""'
    return re.sub(r'^""".*?"""', about, text, count=1)


if __name__ == "__main__":
    (SOURCE / "rest_sync.py").write_text(sync_source())
