"""The members of a consumer group as the broker knows them, and their removal by mistake."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from broker.address import client_settings
from broker.shards.group import remove_member


async def in_group(bootstrap: str, group: str) -> set[str]:
    """The ids of all members."""
    async with _client(bootstrap) as client:
        [answer] = await client.describe_consumer_groups([group])
        return {each[0] for each in answer.groups[0][5]}


async def remove_one(bootstrap: str, group: str, chance: random.Random) -> bool:
    """Remove a member that lives, owner or standby; false if it was just joining again."""
    known = sorted(await in_group(bootstrap, group))
    return bool(known) and await remove(bootstrap, group, chance.choice(known))


async def remove(bootstrap: str, group: str, member_id: str) -> bool:
    """Remove this member; false if it is not in the group."""
    async with _client(bootstrap) as client:
        return await remove_member(client._client, group, member_id)


@asynccontextmanager
async def _client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**client_settings(bootstrap))
    await client.start()
    try:
        yield client
    finally:
        await client.close()
