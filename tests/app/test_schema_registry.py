"""Registering the schemas of the documented topics in a registry with Confluent's API, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import BasicAuth, web
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from api.documents.asyncapi_topics import TOPICS, DocumentedTopic
from api.documents.record_schemas import subjects_of
from app.cli import cli
from app.exports.schema_registry import RegistryRefused, register_schemas
from tests.conftest import Broker


class Registry:
    """The part of a schema registry that is used: each schema of a subject has an id, the same one whenever it comes again."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], int] = {}
        self.users: set[str] = set()
        self.url = ""

    async def register(self, request: web.Request) -> web.Response:
        """`POST /subjects/{subject}/versions`."""
        body = await request.json()
        if body.get("schemaType") != "JSON":
            return web.json_response({"error_code": 42201, "message": "Invalid schema"}, status=422)
        Draft202012Validator.check_schema(json.loads(body["schema"]))
        if "Authorization" in request.headers:
            self.users.add(BasicAuth.decode(request.headers["Authorization"]).login)
        key = (request.match_info["subject"], body["schema"])
        return web.json_response({"id": self.ids.setdefault(key, len(self.ids) + 1)})


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    """A registry that listens on loopback."""
    served, app = Registry(), web.Application()
    app.router.add_post("/subjects/{subject}/versions", served.register)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield served
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("of", TOPICS, ids=lambda of: of.kind)
def test_a_registered_schema_takes_the_records_and_nothing_that_lacks_a_field(of: DocumentedTopic) -> None:
    """On its own, without the document that it was generated for."""
    schema = json.loads(subjects_of(["BTC-PERP"])[f"{of.topic('BTC-PERP')}-value"])
    body = json.loads(of.encode(of.example))
    validator = Draft202012Validator(schema)
    validator.validate(body)
    for field in body:
        assert list(validator.iter_errors({name: value for name, value in body.items() if name != field})), field


async def test_each_topic_has_a_subject_and_a_second_time_the_same_id() -> None:
    """A subject is the topic's name and `-value`; a user in the URL is sent."""
    async with registry() as served:
        url = served.url.replace("//", "//ann:secret@")
        first = await register_schemas(url, subjects_of(["BTC-PERP"]))
        assert set(first) == {f"{each.topic('BTC-PERP')}-value" for each in TOPICS}
        assert await register_schemas(url + "/", subjects_of(["BTC-PERP"])) == first
        assert served.users == {"ann"}


async def test_what_the_registry_refuses_is_named() -> None:
    """Its answer, an answer that is none, and an address where nobody listens."""
    async with registry() as served:
        for url in (f"{served.url}/elsewhere", "http://127.0.0.1:1"):
            with pytest.raises(RegistryRefused, match=r"fills\.BTC-PERP-value"):
                await register_schemas(url, subjects_of(["BTC-PERP"]))


async def test_topics_registers_the_schemas_of_every_market(database: str, empty_broker: Broker) -> None:
    """Where a registry is set; it exits 1 when the registry does not answer, after the topics were created."""
    async with registry() as served:
        environment = {"DATABASE_URL": database, "BROKER_URL": empty_broker.bootstrap}
        done = await _topics(environment | {"SCHEMA_REGISTRY_URL": served.url})
        assert done.exit_code == 0
        assert "executions.ETH-PERP-value is schema" in done.output
        assert {subject for subject, _ in served.ids} == set(subjects_of(["BTC-PERP", "ETH-PERP"]))
    failed = await _topics(environment | {"SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"})
    assert (failed.exit_code, "the schema registry does not take" in failed.output) == (1, True)


async def _topics(environment: dict[str, str]) -> Result:
    return await asyncio.to_thread(CliRunner(env=environment).invoke, cli, ["topics"])
