"""DATA/prometheus.yml: what a Prometheus needs to watch the exchange that `run` has started."""

import json
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "prometheus.yml"
DOCS = Path(__file__).resolve().parents[1] / "docs"
_TEXT = """# Written by `python -m app run` at each start: prometheus --config.file={file}
global:
  scrape_interval: 5s
  evaluation_interval: 5s
  external_labels: {{runbooks: {runbooks}}}
rule_files: [{rules}]
scrape_configs:
  - job_name: perpetua
    static_configs:
{targets}
"""


def write_prometheus_file(folder: Path, addresses: Mapping[str, str]) -> Path:
    """Write the file for the address of each process; returns its path. It replaces the one of the start before in one step."""
    path = folder / FILE_NAME
    targets = (
        f"      - {{targets: [{json.dumps(address)}], labels: {{process: {name}}}}}"
        for name, address in addresses.items()
    )
    text = _TEXT.format(
        file=path,
        runbooks=json.dumps((DOCS / "recover.md").as_uri()),
        rules=json.dumps(str(DOCS / "operate" / "alerts.yml")),
        targets="\n".join(targets),
    )
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
    return path
