"""Registering the schemas of the documented topics in a registry that speaks Confluent's API.

Exception
`-- RegistryRefused   the registry cannot be reached, or does not take a schema
"""

from collections.abc import Mapping

import aiohttp

ANSWER_WITHIN_S = 10.0
_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryRefused(Exception):
    """A schema is not registered; `reason` is the registry's answer."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"the schema registry does not take {subject}: {reason}")
        self.subject = subject
        self.reason = reason


async def register_schemas(url: str, subjects: Mapping[str, str]) -> dict[str, int]:
    """Register a JSON Schema for each subject; returns the ids. One that is there already keeps its id. Raises RegistryRefused.

    A user and password in the URL are sent as Basic authentication.
    """
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout, headers={"Content-Type": _TYPE, "Accept": _TYPE}) as session:
        return {subject: await _register(session, url, subject, schema) for subject, schema in subjects.items()}


async def _register(session: aiohttp.ClientSession, url: str, subject: str, schema: str) -> int:
    place = f"{url.rstrip('/')}/subjects/{subject}/versions"
    try:
        async with session.post(place, json={"schemaType": "JSON", "schema": schema}) as answer:
            if answer.status != 200:
                raise RegistryRefused(subject, f"{answer.status} {(await answer.text())[:500]}")
            return int((await answer.json(content_type=None))["id"])
    except (TimeoutError, aiohttp.ClientError) as error:
        raise RegistryRefused(subject, repr(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryRefused(subject, "the answer has no id") from error
