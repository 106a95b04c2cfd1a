"""Python imports this automatically where the folder is on PYTHONPATH: the clock of each process is off by what its file says.

The file is named after the last word of the command line (`python -m app clock`: `clock`) and holds seconds; without it the clock
is right. It may change at any time: the clock steps.
"""

import os
import sys
import time
from pathlib import Path

_READ_EVERY_S = 0.05
_file = Path(os.environ["CLOCKS"]) / sys.orig_argv[-1]
_time, _time_ns = time.time, time.time_ns
_last = {"read at": 0.0, "shift": 0}


def _shift_s() -> int:
    if time.monotonic() >= _last["read at"] + _READ_EVERY_S:
        _last["read at"] = time.monotonic()
        try:
            _last["shift"] = int(_file.read_text() or 0)
        except FileNotFoundError:
            _last["shift"] = 0
    return int(_last["shift"])


time.time = lambda: _time() + _shift_s()
time.time_ns = lambda: _time_ns() + _shift_s() * 1_000_000_000
