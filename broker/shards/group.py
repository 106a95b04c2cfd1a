"""The consumer group of a shard: it decides which member owns the shard, and nothing else.

Members do not subscribe to the logs they read: the markets of a shard change without a rebalance, and a rebalance does not
stop the owner from reading. The assignment carries no partitions, only the word that its member is the owner.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest

from schemas.topics import DEAD_LETTERS

PROTOCOL = "perpetua-shard"
SUBSCRIBED = DEAD_LETTERS
"""The one topic that every member subscribes to: a member must name one, and this one depends on no market. Nobody reads it."""

_OWNER = b"owner"
_STANDBY = b""
_VERSION = 0
ANSWER_WITHIN_S = 3.0


class Claim(msgspec.Struct, frozen=True):
    """What a member says of itself when it joins: the generation in which it was the owner last, 0 for never."""

    owned: int = 0


class SoleOwner(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
    """Makes one member the owner: the one that owns the shard already, else any. aiokafka uses the instance as it would a class."""

    def __init__(self) -> None:
        self.is_owner = False
        self._owned = 0

    @property
    def name(self) -> str:
        """The name of the protocol, the same for all members."""
        return PROTOCOL

    def owns(self, generation: int) -> None:
        """Remember the generation in which this member is the owner; 0 when it is not."""
        self._owned = generation

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member joins with."""
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), msgspec.json.encode(Claim(self._owned)))

    def assign(
        self, _: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """What the leader of the group decides for all."""
        owner = owner_among({member: claim_of(metadata.user_data) for member, metadata in members.items()})
        return {
            member: ConsumerProtocolMemberAssignment(_VERSION, [], _OWNER if member == owner else _STANDBY)
            for member in members
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """What this member has been made."""
        self.is_owner = assignment.user_data == _OWNER


def owner_among(claims: Mapping[str, Claim]) -> str:
    """The member that owned the shard last; a member frozen meanwhile claims an older generation. Among equals, any."""
    return min(claims, key=lambda member: (-claims[member].owned, member))


def claim_of(user_data: bytes | None) -> Claim:
    """The claim of a member; one that cannot be read claims nothing."""
    try:
        return msgspec.json.decode(user_data or b"{}", type=Claim)
    except msgspec.DecodeError:
        return Claim()


async def remove_member(client: AIOKafkaClient, group: str, member_id: str) -> bool:
    """Remove a member from its group, which decides again at once; False if it was no longer in. Raises KafkaError, TimeoutError.

    Kafka accepts it from any client with READ on the group. It goes over a connection of its own: a broker answers the requests
    of one in order, and that of a member may wait until the group has decided.
    """
    async with asyncio.timeout(ANSWER_WITHIN_S):
        coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
        answer = await client.send(coordinator, LeaveGroupRequest(group, member_id))
    error = for_code(answer.error_code)
    if error not in (NoError, UnknownMemberIdError):
        raise error
    return error is NoError
