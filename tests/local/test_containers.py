"""The container files say what the design asks of them; no Docker engine is needed to read them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from app.cli import cli
from tests.local.composed import NOT_IN_THE_IMAGE, REPOSITORY, read_services

ONE_SHOT = {"migrate", "roles", "topics"}
PARTS = {"api", "relay", "engine", "projection", "publisher", "clock", "liquidator", "prices"}
SERVERS = {"kafka", "postgres"}
OPERATORS = {"migrate", "topics"}
ROLES = {part: part for part in PARTS} | {"prices": "clock"}
PROFILES = {"observability": {"prometheus", "grafana"}, "ui": {"kafka-ui"}}
WINDOWS = set().union(*PROFILES.values())


@pytest.fixture(name="services")
def compose_services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml, anchors resolved."""
    return read_services()


def test_every_part_of_the_exchange_is_a_service(services: dict[str, dict[str, Any]]) -> None:
    """Two servers, the one-shot preparations and each part on its own; what only shows them starts when asked for."""
    assert set(services) == SERVERS | ONE_SHOT | PARTS | WINDOWS
    for profile, names in PROFILES.items():
        assert {name for name, service in services.items() if profile in service.get("profiles", ())} == names


def test_every_image_of_others_has_a_version(services: dict[str, dict[str, Any]]) -> None:
    """A name without a version is another program tomorrow."""
    for name in SERVERS | WINDOWS:
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+(\.\d+)*", services[name]["image"]), name


def test_prometheus_looks_at_every_part_and_grafana_at_prometheus(services: dict[str, dict[str, Any]]) -> None:
    """Each target is a part at the port that it is given; each file that is mounted is there."""
    scraped = yaml.safe_load((REPOSITORY / "docs/operate/prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["job_name"] == "perpetua"
    always = PARTS - {"prices"}  # which is there when it is asked for
    ports = {part: services[part]["environment"]["METRICS_PORT"] for part in always} | {"api": "8080"}
    assert scraped["dns_sd_configs"] == [{"names": ["prices"], "type": "A", "port": 9100}]
    assert set(scraped["static_configs"][0]["targets"]) == {f"{part}:{port}" for part, port in ports.items()}
    for name in PROFILES["observability"]:
        files = [volume.split(":")[0] for volume in services[name]["volumes"] if volume.startswith("./")]
        assert files
        assert all((REPOSITORY / file).is_file() for file in files), files
    (source,) = yaml.safe_load((REPOSITORY / "docs/operate/grafana/datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_what_runs_on_is_checked_and_restarted(services: dict[str, dict[str, Any]]) -> None:
    """Each long-running service has a health check and is restarted; a one-shot runs once."""
    for name, service in services.items():
        assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name
        assert ("healthcheck" in service) == (name not in ONE_SHOT), name
    assert "/readyz" in str(services["api"]["healthcheck"]["test"])


def test_the_prices_service_starts_only_with_the_operators_file(services: dict[str, dict[str, Any]]) -> None:
    """The one part that needs a file of the operator's starts when it is asked for, with that file."""
    assert [name for name, service in services.items() if service.get("profiles") == ["prices"]] == ["prices"]
    (mounted,) = services["prices"]["volumes"]
    assert mounted.split(":") == ["./prices.toml", services["prices"]["command"][-1], "ro"]


def test_a_part_starts_only_after_tables_and_topics_are_there(services: dict[str, dict[str, Any]]) -> None:
    """Each part waits for the topics, these for the roles, these for the tables, these for a healthy database."""
    for part in PARTS:
        assert services[part]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}
    assert services["topics"]["depends_on"]["roles"]["condition"] == "service_completed_successfully"
    assert services["roles"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["topics"]["depends_on"]["kafka"]["condition"] == "service_healthy"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_each_container_runs_a_command_that_exists(services: dict[str, dict[str, Any]]) -> None:
    """The first word of a container's command is a subcommand of `python -m app`."""
    for name in OPERATORS | PARTS:
        assert services[name]["command"][0] in cli.commands, name
        assert services[name]["command"][0] == name


def test_each_part_comes_to_the_database_under_its_own_role(services: dict[str, dict[str, Any]]) -> None:
    """Only what prepares is the owner; every role of the file of roles is given its password by the compose file."""
    users = {name: services[name]["environment"]["DATABASE_URL"].split(":")[1][2:] for name in OPERATORS | PARTS}
    assert users == {part: f"perpetua_{role}" for part, role in ROLES.items()} | dict.fromkeys(OPERATORS, "perpetua")
    roles = set(re.findall(r"'perpetua_(\w+)'", (REPOSITORY / "docs/operate/postgres_roles.sql").read_text()))
    given = (REPOSITORY / "docs/operate/role_passwords.sql").read_text()
    assert {role for role in roles if f"ALTER ROLE perpetua_{role} PASSWORD" in given} == roles
    assert {f"{role.upper()}_PASSWORD" for role in roles} <= set(services["roles"]["environment"])


def test_nothing_is_written_into_a_container(services: dict[str, dict[str, Any]]) -> None:
    """A read-only root without capabilities; only two folders in memory can be written to."""
    for name in OPERATORS | PARTS:
        assert services[name]["read_only"], name
        assert [folder.split(":")[0] for folder in services[name]["tmpfs"]] == ["/tmp", "/var/lib/perpetua"]  # noqa: S108
        assert (services[name]["cap_drop"], services[name]["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


def test_no_secret_has_a_default() -> None:
    """Each secret is required from the environment file, whose recipe has them all; the only default is the port."""
    text = (REPOSITORY / "docker-compose.yml").read_text()
    secrets = set(re.findall(r"\$\{(\w+):\?", text))
    assert secrets >= {"POSTGRES_PASSWORD", "JWT_SECRET", "TOTP_KEY", "SIGNING_KEY", "KAFKA_CLUSTER_ID"}
    assert re.findall(r"\$\{(\w+):?-", text) == ["PORT"]
    recipe = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert all(secret.removesuffix("_PASSWORD") in recipe for secret in secrets)


def test_only_the_api_is_reached_from_outside_and_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    """Neither database nor broker is published; the API is, and what a profile shows, on 127.0.0.1."""
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"api"} | WINDOWS
    assert published["api"] == ["127.0.0.1:${PORT:-8080}:8080"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_the_image_is_pinned_and_not_root() -> None:
    """Bases by a whole version, packages by hash, no process an administrator, and nothing in it that only `run` needs."""
    text = (REPOSITORY / "Dockerfile").read_text()
    assert all(
        re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    )
    assert "pip install --require-hashes -r requirements.lock" in text
    last = text[text.rindex("FROM ") :]
    assert re.search(r"^USER 10001$", last, re.MULTILINE)
    assert "pip" not in last
    (taken_away,) = re.findall(r"pip uninstall --yes (.+) pip$", text, re.MULTILINE)
    assert taken_away.replace("-", "_").split() == list(NOT_IN_THE_IMAGE)


def test_a_linter_finds_nothing_in_the_image_file() -> None:
    """hadolint, every rule."""
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run([hadolint, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_compose_file_is_one_by_its_specification() -> None:
    """The official schema knows every key, and every value is of its type."""
    schema = json.loads((Path(__file__).parent / "compose_spec" / "compose-spec.json").read_text())
    errors = Draft202012Validator(schema).iter_errors(yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text()))
    assert [error.message for error in errors] == []


def test_every_room_of_the_house_is_in_the_image() -> None:
    """A package that is not copied would be missing only in production."""
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    allowed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for room in ("schemas", "exchange", "tables", "broker", "store", "agents", "api", "app", "web"):
        assert f"COPY {room} ./{room}" in dockerfile
        assert f"!{room}" in allowed
