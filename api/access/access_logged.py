"""Which requests the access log has. On its own, because the settings name it and must not load the server."""

from enum import StrEnum


class AccessLogged(StrEnum):
    """Which requests are logged."""

    OFF = "off"
    PRIVATE = "private"
    ALL = "all"
