"""Names of topics and consumer groups; one partition each, so one market has one owner."""

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


def publisher_app_id(market: str) -> str:
    """Faust application and consumer group of a market's publishing agents."""
    return f"publisher-{market}"


def engine_app_id(market: str) -> str:
    """Faust application and consumer group of a market's matching agents."""
    return f"engine-{market}"


def projection_app_id(market: str) -> str:
    """Faust application and consumer group of a market's projection agents."""
    return f"projection-{market}"


def book_table(market: str) -> str:
    """Name of the Faust table that keeps the market's snapshots."""
    return f"book-{market}"


def book_changelog_topic(market: str) -> str:
    """The compacted changelog topic of the book table; Faust derives the same name."""
    return f"{engine_app_id(market)}-{book_table(market)}-changelog"
