"""The account that PostgreSQL runs under: the current one, or a dedicated one when the current one is root.

The dedicated account owns its folders, and the parent folders of those and of its programs become searchable
(o+x, never o+r: nobody can list them who could not before).
"""

import os
import pwd
import stat
import subprocess
from pathlib import Path

from app.local.process import Identity

ACCOUNT = "perpetua_pg"


class ForeignFolder(Exception):
    """A folder of the server belongs to another user of this machine."""

    def __init__(self, folder: Path, owner_uid: int) -> None:
        super().__init__(f"{folder} belongs to user {owner_uid}, not to the user that PostgreSQL runs as")
        self.folder = folder
        self.owner_uid = owner_uid


def server_identity(folder: Path) -> Identity:
    """The user that the server of a data folder runs as: the current one; for root, the owner of the folder or the dedicated account."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if os.getuid() != 0:
        return Identity()
    if folder.exists() and folder.stat().st_uid != 0:
        return Identity(folder.stat().st_uid, folder.stat().st_gid)
    entry = _account()
    return Identity(entry.pw_uid, entry.pw_gid)


def give_folder(folder: Path, identity: Identity) -> None:
    """Create a private folder (mode 0700) for the server's user; one that belongs to another user is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.lstat().st_uid
    wanted = os.getuid() if identity.uid < 0 else identity.uid
    if folder.is_symlink() or owner not in {os.getuid(), wanted}:
        raise ForeignFolder(folder, owner)
    if identity.uid >= 0:
        os.chown(folder, identity.uid, identity.gid)
        reach(folder)
    folder.chmod(0o700)


def reach(path: Path) -> None:
    """As root, let the server's account search every parent folder of `path`."""
    if os.getuid() != 0:
        return
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
        subprocess.run(command, check=False, capture_output=True)  # fails if another process has just created it
        return pwd.getpwnam(ACCOUNT)
