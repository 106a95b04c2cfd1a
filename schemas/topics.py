"""Names of topics, agents and consumer groups. A topic has one partition, so a market has one log."""

DEAD_LETTERS = "dead-letters"


def commands_topic(market: str) -> str:
    """The command log of a market, written by its relay alone."""
    return f"engine.commands.{market}"


def events_topic(market: str) -> str:
    """The event log of a market, written by its matching agent alone."""
    return f"engine.events.{market}"


def fills_topic(market: str) -> str:
    """The public fill stream of a market, written by its publishing agent alone."""
    return f"fills.{market}"


def executions_topic(market: str) -> str:
    """Both sides of each fill of a market, for back offices; written by the same agent as its fills."""
    return f"executions.{market}"


def publisher_app_id(market: str) -> str:
    """Name of the publishing agent of a market, in logs and in PostgreSQL's list of sessions."""
    return f"publisher-{market}"


def engine_app_id(market: str) -> str:
    """Name of the matching agent of a market, as above."""
    return f"engine-{market}"


def projection_app_id(market: str) -> str:
    """Name of the projection agent of a market, as above."""
    return f"projection-{market}"


def shard_app_id(work: str, shard: str) -> str:
    """Faust application and consumer group of a shard for one kind of work: `engine-main`."""
    return f"{work}-{shard}"


def book_table(market: str) -> str:
    """Name of the Faust table that keeps the market's snapshots."""
    return f"book-{market}"


def book_changelog_topic(market: str) -> str:
    """The compacted changelog topic of the book table. It depends on the market alone, so a market can change its shard."""
    return f"{engine_app_id(market)}-{book_table(market)}-changelog"


PUBLISHED = (fills_topic, executions_topic)
"""The documented topics of a market, which outside consumers read."""
