"""The tables of a Faust app whose markets come and go while it runs (faust-streaming 0.15.3).

Faust declares tables before its app starts, and restores all of them, again, whenever a member of the group comes or goes;
no market works before the slowest is restored. Here the owner of a market restores its table alone, before it reads a
command (agents/matching/restoring.py). So no record is fetched that a recovery could drop.
"""

from typing import Any

import faust
from faust.tables.manager import TableManager

MARKET_TABLES = f"{__name__}.MarketTables"
"""The app setting `TableManager`."""


class MarketTables(TableManager):
    """A table manager that recovers nothing by itself."""

    async def on_start(self) -> None:
        """Faust waits for tables to be declared; ours may be declared later."""
        self._tables_registered.set()

    async def wait_until_recovery_completed(self) -> bool:
        """The app is up at once."""
        return False

    def drop(self, table: Any) -> None:
        """Forget a table: its market has left."""
        if any(each is table for each in self.data.values()):
            del self.data[table.name]
            self._changelogs.pop(table.changelog_topic.get_topic_name(), None)


def drop_table(app: faust.App, table: Any) -> None:
    """Forget a table of an app with the manager above, and its entries: what Faust made for a market refers to it for long."""
    manager: Any = app.tables
    manager.drop(table)
    table.data.data.clear()
