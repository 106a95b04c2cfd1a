"""What a killed run leaves in memory is removed by the next."""

import subprocess
import sys
from pathlib import Path

from tests.memory import folder_of_this_run, remove_left_over

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.memory import folder_of_this_run
with folder_of_this_run(Path(sys.argv[1])) as folder:
    (folder / "data").write_text("of a database")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folder_of_a_killed_run_is_removed_and_no_other(tmp_path: Path) -> None:
    """That of this run, and what is not ours, stays."""
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=Path(__file__).parents[2], check=False)
    (left,) = tmp_path.iterdir()
    other = tmp_path / "other"
    other.mkdir()
    with folder_of_this_run(tmp_path) as folder:
        remove_left_over(tmp_path)
        assert folder.exists()
    assert list(tmp_path.iterdir()) == [other]
    assert not left.exists()
