"""Which part of an exchange does not answer, told to the operator.

Exception
`-- BrokerSilent      the broker was asked and said nothing
"""

import asyncpg
from aiokafka.errors import KafkaError

from store.session.connect import OUTAGES, StoreUnavailable


class BrokerSilent(Exception):
    """A log was not read to its end in time; a database that is silent raises the bare TimeoutError."""


DATABASE_OUT_OF_REACH = (*OUTAGES, asyncpg.InterfaceError, StoreUnavailable)
OUT_OF_REACH = (*DATABASE_OUT_OF_REACH, KafkaError, BrokerSilent)
DATABASE_REFUSES = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password too
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""What PostgreSQL says to a name, a password, a database or a right that it does not know."""


def unreachable(error: BaseException) -> str:
    """The sentence for an error of OUT_OF_REACH: which part it is, and what was seen of it."""
    part = "broker" if isinstance(error, KafkaError | BrokerSilent) else "database"
    return f"the exchange cannot be reached: its {part} does not answer: {error!r}"
