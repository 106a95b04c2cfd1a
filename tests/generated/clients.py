"""The commands of docs/rest.md, "Generate a client", and the folder of each language in which they are run."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.generated.toolbox import GO, JAVA, TYPESCRIPT, generator_jar, need, node_modules, shell

GUIDE = Path(__file__).parents[2] / "docs" / "rest.md"
URL, MARKET = "http://127.0.0.1:8080", "BTC-PERP"
"""As they are in the guide."""
INSTALLING = re.compile(r"npm install |go mod init|go get |mvn -q dependency:copy ")
"""Lines of a person who begins; the tests have the same versions from the lock files."""


@dataclass(frozen=True)
class Language:
    """A language, the programs that it needs, and how its folder gets what the first lines of the guide install."""

    title: str
    programs: tuple[str, ...]
    pins: tuple[Path, ...]
    prepare: Callable[[Path], None]

    @property
    def lines(self) -> list[str]:
        """The commands of the guide, in their order."""
        (block,) = re.findall(rf"^{self.title}.*?\n\n```sh\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
        return str(block).splitlines()

    @property
    def installed(self) -> list[tuple[str, str]]:
        """Names and versions of what the guide installs."""
        lines = " ".join(line for line in self.lines if INSTALLING.match(line))
        return re.findall(r"(?<=[\s=])(@?[\w./-]+(?::[\w-]+)?)[@:](v?\d[\w.]*)", lines)

    def trade(self, folder: Path, url: str, market: str) -> str:
        """Generate a client of that exchange, compile it with the program next to the lock files, run that; what it prints."""
        need(*self.programs)
        self.prepare(folder)
        printed = ""
        for line in self.lines:
            if not INSTALLING.match(line):
                printed = shell(folder, line.replace(URL, url).replace(MARKET, market))
        return printed


def _typescript(folder: Path) -> None:
    for name in ("package.json", "trade.ts"):
        shutil.copy(TYPESCRIPT / name, folder)
    (folder / "node_modules").symlink_to(node_modules())


def _go(folder: Path) -> None:
    for name in ("go.mod", "go.sum", "trade.go"):
        shutil.copy(GO / name, folder)


def _java(folder: Path) -> None:
    shutil.copy(JAVA / "Trade.java", folder)
    jar = generator_jar()
    (folder / jar.name).symlink_to(jar)


LANGUAGES = {
    "typescript": Language("TypeScript", ("node", "npm"), (TYPESCRIPT / "package.json",), _typescript),
    "go": Language("Go", ("go",), (GO / "go.mod",), _go),
    "java": Language("Java", ("java", "javac", "mvn"), (JAVA / "pom.xml",), _java),
}
