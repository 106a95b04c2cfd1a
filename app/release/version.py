"""Which release this is: its version, its commit, and the migration that it brings a database to."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMIT_FILE = Path(__file__).with_name("commit.txt")
"""Names the commit in an archive (git writes it, see .gitattributes) and in an image (the Dockerfile writes it)."""
PLACEHOLDER = "$Format"
COMMIT_CHARACTERS = 12


def release_line() -> str:
    """The release in one line."""
    from api.documents.openapi import VERSION
    from store.schema.migrate import migration_files

    migration = migration_files()[-1].name.partition("_")[0]
    return f"perpetua {VERSION}, commit {commit(COMMIT_FILE, ROOT)}, migration {migration}"


def commit(file: Path, checkout: Path) -> str:
    """The commit that a file names, else that of the checkout (`-dirty`: with changes); `unknown` without either."""
    written = file.read_text().strip() if file.exists() else PLACEHOLDER
    if not written.startswith(PLACEHOLDER):
        return written[:COMMIT_CHARACTERS]
    if not (checkout / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run([*command, f"--abbrev={COMMIT_CHARACTERS}"], capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"
