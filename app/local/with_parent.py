"""Turns itself into a command that dies with its parent: `with_parent.py PARENT_PID SIGNAL UID GID COMMAND...`.

Linux delivers SIGNAL to the command when the thread that started it ends, however it ends (PR_SET_PDEATHSIG), so a
SIGKILL of the supervisor leaves no orphan that keeps writing. A UID and GID of -1 keep the current user; the user is
changed before the signal is requested, because changing it clears the request. On other systems than Linux the command
simply runs. Run as a file, not as a module: it needs nothing but the standard library and starts in milliseconds.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PARENT_GONE = 75


def become(parent_pid: int, signal_number: int, uid: int, gid: int, command: list[str]) -> None:
    """Replace this process by `command`; never returns. Exits with PARENT_GONE when the parent is already dead."""
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(PARENT_GONE)
    os.execvp(command[0], command)  # noqa: S606 - the whole point: become the command, without a shell


if __name__ == "__main__":
    parent, number, user, group = (int(argument) for argument in sys.argv[1:5])
    become(parent, number, user, group, sys.argv[5:])
