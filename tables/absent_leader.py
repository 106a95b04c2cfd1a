"""A group of the embedded broker (Tansu 0.6.0) whose leader is gone, and how it gets another one.

A leader that leaves while the group forms stays its leader: nobody else is asked to deal, and every member joins and is
refused for ever. A leader whose session times out does lose its place. So the absent one is joined once more, in its own
name, and then missed as if it had died. Were it there and only slow, that join would change nothing.
"""

import logging
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import JoinGroupRequest

REFUSALS_MAX = 2
"""How often one generation may refuse a member before its leader counts as gone: a join and a refusal take some seconds."""

log = logging.getLogger(__name__)


class LeaderWatch:
    """Watches the joins of one member through its coordinator (aiokafka 0.14.0), whose private names it uses."""

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator
        self._rejoin = coordinator._do_rejoin_group
        self._send = coordinator._send_req
        self._leader = ""
        self._generation = -1
        self._refusals = 0
        coordinator._do_rejoin_group = self._watched_rejoin
        coordinator._send_req = self._watched_send

    async def _watched_send(self, request: Any) -> Any:
        response = await self._send(request)
        if isinstance(request, JoinGroupRequest):
            self._leader = response.leader_id
        return response

    async def _watched_rejoin(self, subscription: Any) -> bool:
        """Join and be dealt, or count the refusals of this generation."""
        is_dealt = bool(await self._rejoin(subscription))
        generation = self._coordinator.generation
        is_refused = not is_dealt and self._leader not in ("", self._coordinator.member_id)
        self._refusals = (self._refusals if generation == self._generation else 0) + 1 if is_refused else 0
        self._generation = generation
        if self._refusals >= REFUSALS_MAX:
            self._refusals = 0
            await self._dismiss(self._leader)
        return is_dealt

    async def _dismiss(self, leader: str) -> None:
        """Have the group miss its leader, so that the next to join after its session becomes the leader."""
        group = self._coordinator.group_id
        log.warning("%s has a leader that does not deal, %s: the group is given another one", group, leader)
        try:
            await self._send(self._join_as(leader))
        except KafkaError as error:
            log.warning("%s keeps its leader for now: %r", group, error)

    def _join_as(self, member: str) -> Any:
        coordinator = self._coordinator
        topics = coordinator._subscription.topics
        ways = [(each.name, each.metadata(topics)) for each in coordinator._assignors]
        return JoinGroupRequest(
            coordinator.group_id,
            coordinator._session_timeout_ms,
            coordinator._rebalance_timeout_ms,
            member,
            None,
            ConsumerProtocol.PROTOCOL_TYPE,
            [(name, way if isinstance(way, bytes) else way.encode()) for name, way in ways],
        )
