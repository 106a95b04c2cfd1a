"""Points where a test makes a process die."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.crash_at import crash_mark
from app.settings import load_settings
from store.crash_points import CrashPoint, arm, disarm_all, passing

PROGRAM = """
import sys
from pathlib import Path
from app.crash_at import arm_crash_points
from app.settings import load_settings
from store.crash_points import CrashPoint, passing

settings = load_settings({"CRASH_AT": "during-recovery:3", "DATA": sys.argv[1]})
arm_crash_points(settings.crash_at, settings.data)
for number in range(1, 5):
    print(number, flush=True)
    passing(CrashPoint.DURING_RECOVERY)
    passing(CrashPoint.DURING_REBALANCE)
"""


def _run(data: Path) -> tuple[int, str]:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, str(data)], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout


def test_a_process_dies_at_the_named_pass_and_only_once(tmp_path: Path) -> None:
    """SIGKILL at the third pass; the life after it passes unharmed, until the mark is removed."""
    mark = crash_mark(tmp_path, CrashPoint.DURING_RECOVERY)
    assert _run(tmp_path) == (-signal.SIGKILL, "1\n2\n3\n")
    assert mark.exists()
    assert _run(tmp_path) == (0, "1\n2\n3\n4\n")
    mark.unlink()
    assert _run(tmp_path)[0] == -signal.SIGKILL


def test_several_points_are_named_with_their_passes() -> None:
    """`point[:N],point`; a point without a number means its first pass."""
    settings = load_settings({"CRASH_AT": "during-recovery:2, during-rebalance"})
    assert settings.crash_at == {CrashPoint.DURING_RECOVERY: 2, CrashPoint.DURING_REBALANCE: 1}
    assert load_settings({}).crash_at == {}


def test_only_an_armed_point_is_felt(request: pytest.FixtureRequest) -> None:
    """Passing any other point does nothing."""
    request.addfinalizer(disarm_all)
    felt: list[str] = []
    arm(CrashPoint.DURING_RECOVERY, lambda: felt.append("recovery"))
    passing(CrashPoint.DURING_REBALANCE)
    passing(CrashPoint.DURING_RECOVERY)
    assert felt == ["recovery"]
