"""The broker that this exchange is bound to, and the epoch of each market's log: a foreign or outdated log is detected."""

from store.command_log.commands import MarketUnknown
from store.session.connect import Session

_CLAIM = "INSERT INTO broker_identity (cluster_id) VALUES ($1) ON CONFLICT DO NOTHING"
_REPLACE = """
INSERT INTO broker_identity (cluster_id) VALUES ($1) ON CONFLICT (one) DO UPDATE SET cluster_id = excluded.cluster_id
"""


async def read_cluster(session: Session) -> str | None:
    """Cluster id of the broker that holds this exchange's logs; None before the first start."""
    cluster_id: str | None = await session.fetchval("SELECT cluster_id FROM broker_identity")
    return cluster_id


async def claim_cluster(session: Session, cluster_id: str) -> str:
    """Bind the exchange to a broker if it has none; returns the cluster id it is bound to, for the caller to compare."""
    await session.execute(_CLAIM, cluster_id)
    owner: str = await session.fetchval("SELECT cluster_id FROM broker_identity")
    return owner


async def replace_cluster(session: Session, cluster_id: str) -> None:
    """Bind the exchange to another broker; only a rebuild does this."""
    await session.execute(_REPLACE, cluster_id)


async def raise_epoch(session: Session, market: str) -> int:
    """Start a new epoch of a market and return it: records of older epochs no longer count. Raises MarketUnknown.

    A log that did not belong to this database is abandoned this way; the market keeps its status until it is resumed.
    """
    statement = "UPDATE markets SET epoch = epoch + 1, halted_reason = NULL WHERE name = $1 RETURNING epoch"
    return _known(market, await session.fetchval(statement, market))


def _known(market: str, epoch: int | None) -> int:
    if epoch is None:
        raise MarketUnknown(market)
    return epoch
