"""The alert rules and the dashboard say only what can be seen, and each alert says what to do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OPERATE = ROOT / "docs" / "operate"
MANUALS = ("operate.md", "recover.md")
SEVERITIES = {"page", "ticket"}


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = yaml.safe_load((OPERATE / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    """What alerts and panels ask Prometheus for."""
    panels = json.loads((OPERATE / "dashboard.json").read_text())["panels"]
    return [rule["expr"] for rule in alerts()] + [
        target["expr"] for panel in panels for target in panel.get("targets", ())
    ]


def metrics_asked_for() -> set[str]:
    """The names of ours in them."""
    return {name for expression in expressions() for name in re.findall(r"perpetua_\w+", expression)}


def labels_asked_for() -> set[tuple[str, str, str]]:
    """(figure, label, value) of each selector, and (figure, label, "") of each grouping and joining.

    `instance` is not ours: Prometheus adds it when it reads a page.
    """
    asked = set()
    for expression in expressions():
        for figure, inside in re.findall(r"(perpetua_\w+)\{([^}]*)\}", expression):
            asked |= {(figure, label, value) for label, value in re.findall(r'(\w+)=~?"([^"]*)"', inside)}
        grouped = {
            label for inside in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in inside.split(", ")
        } - {"instance"}
        asked |= {(figure, label, "") for figure in re.findall(r"perpetua_\w+", expression) for label in grouped}
    return asked


def metrics_in_the_manuals() -> set[str]:
    """Our names that the manuals ask an operator to look at."""
    return {name for page in MANUALS for name in re.findall(r"perpetua_\w+", (ROOT / "docs" / page).read_text())}


def anchors(document: Path) -> set[str]:
    """What a link into a document may name: its headings, as GitHub and mkdocs write them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_has_a_runbook_that_is_there(rule: dict[str, Any]) -> None:
    """The person on call finds the heading, the severity and the summary."""
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert document == "docs/recover.md"
    assert anchor in anchors(ROOT / document)
    assert rule["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}#{anchor}"
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["summary"]


def test_the_links_to_runbooks_have_a_start() -> None:
    """The label that they begin with is set where Prometheus is configured."""
    settings = yaml.safe_load((OPERATE / "prometheus.yml").read_text())["global"]
    assert settings["external_labels"].keys() == {"runbooks"}
    assert settings["external_labels"]["runbooks"].endswith("/recover.html")


def test_no_two_panels_are_in_one_place() -> None:
    """Each panel of the dashboard has its own number and its own place."""
    panels = json.loads((OPERATE / "dashboard.json").read_text())["panels"]
    places = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"])
        for panel in panels
        for column in range(panel["gridPos"]["w"])
    ]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_each_runbook_names_the_alerts_that_lead_to_it() -> None:
    """The reader sees that the runbook is the right one."""
    text = (ROOT / "docs" / "recover.md").read_text()
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", text))
    assert {rule["alert"] for rule in alerts()} <= named
