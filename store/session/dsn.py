"""The address of PostgreSQL, fit for display."""

import re
from urllib.parse import SplitResult, urlsplit

_SCHEMES = {"postgres", "postgresql"}
_SHOWN_PARAMETERS = {"host", "port", "user", "dbname", "sslmode", "sslrootcert"}
_HOSTS = re.compile(r"[\w.,:\[\]-]*")
_DATABASE = re.compile(r"(/[\w-]*)?")


def without_password(dsn: str) -> str | None:
    """The address with its password hidden; None when it is ambiguous which part is the password."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return None
    hosts = parts.netloc.rpartition("@")[2]
    if not _is_plain(parts, hosts):
        return None
    query = "&".join(pair for pair in parts.query.split("&") if pair.partition("=")[0] in _SHOWN_PARAMETERS)
    return f"{parts.scheme}://{_shown_user(parts)}{hosts}{parts.path}{'?' if query else ''}{query}"


def _is_plain(parts: SplitResult, hosts: str) -> bool:
    """An unquoted `/`, `?` or `#` in a password ends the part it is in, and its `@` lands in a later one."""
    is_address = parts.scheme in _SCHEMES and bool(_HOSTS.fullmatch(hosts) and _DATABASE.fullmatch(parts.path))
    return is_address and "@" not in parts.query and not parts.fragment


def _shown_user(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    return f"{parts.username}{'' if parts.password is None else ':…'}@"
