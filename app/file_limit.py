"""The limit of open files: a connection takes one, and a shell usually allows 1,024 where the system allows far more."""

import resource


def raise_file_limit() -> None:
    """Raise the soft limit of this process to the hard one; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
