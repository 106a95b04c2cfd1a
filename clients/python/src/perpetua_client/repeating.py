"""Calls that change something are repeated until it is known what became of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from perpetua_client.errors import OutcomeUnknown, Refusal, Unavailable
from perpetua_client.transport import Answer, Outcome, Patience, Transport

DoneBefore = Callable[[str, Refusal], Awaitable[bytes | None]]
"""The body of the success that an earlier try had, if a refusal shows one."""


async def never(_: str, __: Refusal) -> None:
    """A refusal is a refusal: what is repeated has the same effect once or twice."""


class Repeating:
    """Repeats the calls of one client, each for at most `patience_s`."""

    def __init__(self, transport: Transport, patience_s: float) -> None:
        self._transport = transport
        self._patience_s = patience_s

    async def once(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        reference: str,
        done_before: DoneBefore = never,
        is_repetition: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send until there is a final answer; a refusal after a try of unknown outcome may be due to that try's success."""
        patience, is_known = Patience(self._patience_s), not is_repetition
        while True:
            try:
                answer = await self._transport.call(method, path, body, headers)
            except Refusal as refusal:
                done = None if is_known else await done_before(reference, refusal)
                if done is None:
                    raise
                return Answer(200, None, True, None, done)
            if isinstance(answer, Answer):
                return answer
            is_known = is_known and answer.outcome is Outcome.NOT_DONE
            if not await patience.again(answer):
                raise Unavailable(answer.why) if is_known else OutcomeUnknown(reference, answer.why)
