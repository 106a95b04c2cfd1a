"""Reports to the operator which part of an exchange does not answer.

Exception
`-- BrokerSilent      the broker did not answer
"""

import errno

import asyncpg
from aiokafka.errors import KafkaError

from store.session.connect import OUTAGES, StoreUnavailable


class BrokerSilent(Exception):
    """A log was not read to its end in time; a database that does not answer raises a plain TimeoutError."""


DATABASE_OUT_OF_REACH = (*OUTAGES, asyncpg.InterfaceError, StoreUnavailable)
OUT_OF_REACH = (*DATABASE_OUT_OF_REACH, KafkaError, BrokerSilent)
DATABASE_REFUSES = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password too
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""Errors of PostgreSQL for a wrong user, password or database, or a missing privilege."""


_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def unreachable(error: BaseException) -> str:
    """The message for an error of OUT_OF_REACH: which part does not answer, or which file cannot be used, and the error."""
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _OF_THE_DISK):
        return f"cannot use {error.filename or 'the disk'}: {error.strerror}"
    part = "broker" if isinstance(error, KafkaError | BrokerSilent) else "database"
    return f"the exchange cannot be reached: its {part} does not answer: {error!r}"
