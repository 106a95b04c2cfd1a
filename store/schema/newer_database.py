"""A database that a later release has migrated. Migrations are never reverted; an older release does not migrate it."""


class DatabaseIsNewer(Exception):
    """The database's newest migration is not one of this release."""

    def __init__(self, migration: str) -> None:
        super().__init__(f"the database is of a newer release: migration {migration} is not known to this one")
        self.migration = migration
