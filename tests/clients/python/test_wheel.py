"""What `make clients` builds is what users install."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[3]


def test_the_wheel_has_the_whole_client_and_nothing_else(tmp_path: Path) -> None:
    """Every module, the marker of its types; it imports without the tree of the exchange."""
    uv = Path(sys.executable).with_name("uv")
    copied = shutil.copytree(ROOT / "clients" / "python", tmp_path / "copy")  # a build leaves files in its folder
    subprocess.run([uv, "build", "--wheel", "--quiet", "--out-dir", tmp_path, copied], check=True)
    [wheel] = tmp_path.glob("perpetua_client-*-py3-none-any.whl")
    source = ROOT / "clients" / "python" / "src"
    modules = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {*modules, "perpetua_client/py.typed"}
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    imported = [
        sys.executable,
        "-c",
        "import perpetua_client, sys; print('schemas' in sys.modules, perpetua_client.__file__)",
    ]
    shown = subprocess.run(imported, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"False {wheel}")
