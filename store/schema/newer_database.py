"""A database that a later release has changed: the way back is to go on with its tables, never to change them back."""


class DatabaseIsNewer(Exception):
    """The newest migration in force is none of this release's."""

    def __init__(self, migration: str) -> None:
        super().__init__(f"the database is of a newer release: migration {migration} is not known to this one")
        self.migration = migration
