"""Sets up an environment: `install.py packages LOCK [PIP OPTION]...` and `install.py scripts BIN`.

Run as a file by the Python of that environment, before any package is there: it needs nothing but the standard library.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "--progress-bar", "off")
SCRIPT = """#!{python}
import sys

sys.path.insert(0, {root!r})
from {module} import {function}

sys.exit({function}())
"""


def install_packages(lock: Path, options: list[str]) -> int:
    """Install the packages of a lock file with pip and show how far it is; returns pip's exit code. A failure prints pip's output."""
    total = len(re.findall(r"^[\w.\-\[\]]+ ?(==|@)", lock.read_text(), re.MULTILINE))
    lines, done = [], 0
    command = [sys.executable, "-u", *PIP, "-r", str(lock), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None  # noqa: S101 - it is a pipe
        for line in pip.stdout:
            lines.append(line)
            if line.startswith(("Collecting ", "Processing ", "Requirement already satisfied: ")) and done < total:
                done += 1
                _show(f"packages   {done}/{total}", is_last=False)
            elif line.startswith("Installing collected packages"):
                _show(f"packages   {done}/{total}, unpacking", is_last=False)
    failed = pip.returncode != 0
    _show(f"packages   {'failed' if failed else f'{total}/{total}'}", is_last=True)
    if failed:
        sys.stderr.writelines(lines)
    return pip.returncode


def write_scripts(folder: Path) -> None:
    """Write the programs that pyproject.toml names into a folder: the tree is not installed, they run it in place."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in scripts.items():
        module, _, function = entry.partition(":")
        fresh = folder / f"{name}.new"
        fresh.write_text(SCRIPT.format(python=sys.executable, root=str(ROOT), module=module, function=function))
        fresh.chmod(0o755)
        fresh.replace(folder / name)


def _show(text: str, *, is_last: bool) -> None:
    """On a terminal one line that changes; elsewhere only the last one."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\033[K{text}" + ("\n" if is_last else ""))
    elif is_last:
        sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["packages", lock, *options]:
            sys.exit(install_packages(Path(lock), options))
        case ["scripts", folder]:
            write_scripts(Path(folder))
        case _:
            sys.exit(__doc__)
