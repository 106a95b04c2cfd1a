"""Autobahn's testsuite, a foreign conformance suite, on the socket. It needs Python 2.7 (pyenv has it) and the package registry."""

import asyncio
import json
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.local.kafka_jars import cache_folder
from tests.api.exchange import Exchange

SUITE = "autobahntestsuite==25.10.1"
PYTHON2 = shutil.which("python2.7", path=f"{Path.home()}/.pyenv/versions/2.7.18/bin:/usr/bin:/usr/local/bin")
FUZZER = """
import json, site, sys
site.addsitedir(sys.argv[1])
sys.argv[:] = ["wstest", "-m", "fuzzingclient", "-s", sys.argv[2]]
from autobahntestsuite.case.case import Case
from autobahntestsuite.wstest import run

def on_message(case, text, is_binary):
    echoes = [each for each in case.expected.get(Case.OK, []) if each[0] == "message"]
    number = sum(each[0] == "message" for each in case.received)
    if not is_binary and number < len(echoes) and json.loads(text)["code"] in ("INVALID_REQUEST", "PAYLOAD_TOO_LARGE"):
        text = echoes[number][1]
    case.received.append(("message", text, is_binary))
    case.finishWhenDone()

Case.onMessage = on_message
run()
"""
"""The suite expects the echo of each text that it sends. Ours answers each with one `error`: it is counted as the echo."""
NOT_OURS = {
    "1.2.*": "binary messages",
    "9.*": "messages of up to 16 MiB, and a thousand in one connection",
    "12.*": "compression",
    "13.*": "compression",
}
PASSED = {("OK", "OK"), ("NON-STRICT", "OK"), ("INFORMATIONAL", "INFORMATIONAL")}
"""Non-strict: what came before a broken frame in the same packet is not answered, and UTF-8 is judged when the message is whole."""
CASES = 239


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.skipif(PYTHON2 is None, reason="Python 2.7 is not installed: pyenv install 2.7.18")
async def test_the_cases_of_autobahn_that_apply_pass(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames, pings, reserved bits, opcodes, fragments, UTF-8, closing handshakes: as expected, and closed as they should be."""
    found = await _run(exchange, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n  cases of Autobahn: {dict(Counter(behaviour for behaviour, _ in found.values()))}")
    assert len(found) == CASES
    assert not {case: result for case, result in found.items() if result not in PASSED}


async def _run(exchange: Exchange, folder: Path) -> Mapping[str, tuple[str, str]]:
    """Each case with how it behaved and how it ended."""
    packages = cache_folder() / "autobahn"
    assert PYTHON2 is not None
    if not packages.is_dir():
        await _execute(PYTHON2, "-m", "pip", "install", "-q", "--target", str(folder / "packages"), SUITE)
        shutil.move(folder / "packages", packages)
    spec = {
        "outdir": str(folder / "reports"),
        "servers": [{"agent": "perpetua", "url": f"ws://127.0.0.1:{exchange.port}/ws"}],
        "cases": ["*"],
        "exclude-cases": list(NOT_OURS),
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    await _execute(PYTHON2, "-c", FUZZER, str(packages), str(folder / "spec.json"))
    found = json.loads((folder / "reports" / "index.json").read_bytes())["perpetua"]
    return {case: (each["behavior"], each["behaviorClose"]) for case, each in found.items()}


async def _execute(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-2_000:]
