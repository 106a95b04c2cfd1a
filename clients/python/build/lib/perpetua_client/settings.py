"""What an account sets besides orders: leverage, the countdown, and money that leaves."""

import secrets
from decimal import Decimal
from urllib.parse import quote

import msgspec

from perpetua_client.models import Balance, Countdown, Leverage, WithdrawalRequest
from perpetua_client.repeating import Repeating


class Settings:
    """The calls that change the account itself; each has the same effect once or repeated."""

    _repeating: Repeating

    async def set_leverage(self, market_id: str, leverage: int) -> Leverage:
        """Set the leverage in a market, of the position, the live orders and later ones."""
        path = f"/positions/{quote(market_id)}/leverage"
        answer = await self._repeating.once("POST", path, {"leverage": leverage}, reference=market_id)
        return msgspec.json.decode(answer.body, type=Leverage)

    async def countdown(self, countdown_ms: int, market_id: str | None = None) -> list[Countdown]:
        """Have the orders of a market, or of all, end unless this is called again in time; 0 stops it."""
        body = {"countdownMs": countdown_ms} | ({} if market_id is None else {"marketId": market_id})
        answer = await self._repeating.once("POST", "/orders/countdown", body, reference=market_id or "all markets")
        return msgspec.json.decode(answer.body, type=list[Countdown])

    async def withdraw(
        self, amount: Decimal, asset: str = "USDC", *, code: str | None = None, key: str | None = None
    ) -> Balance:
        """Withdraw once per `key`, by default a random one. Raises OutcomeUnknown with the key: repeat it with that."""
        key = key or secrets.token_hex(16)
        body = WithdrawalRequest(asset=asset, amount=amount, code=code)
        answer = await self._repeating.once(
            "POST", "/withdrawals", body, reference=key, headers={"Idempotency-Key": key}
        )
        return msgspec.json.decode(answer.body, type=Balance)
