"""The rows of one account, or of all, in the order of a file: by the account's number, then oldest first."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, BinaryIO

import click
import msgspec

from api.routes.reports.export_files import KINDS, Kind
from app.cli.accounts import resolved
from app.exports.writers import Writer, row_with_account, writer_to
from app.operator import session_of
from app.settings import Settings
from schemas.refusals import Refused
from store.advance import Advance
from store.queries.operations.users import count_accounts, read_accounts_after
from store.queries.paging import LIMIT_MAX, ListRequest
from store.session.connect import Session

Pages = Callable[[Session, int], AsyncIterator[list[Any]]]
WithAccount = Callable[[str, msgspec.Struct], Any]


async def export_rows(  # noqa: PLR0917 - what the command was asked
    settings: Settings, kind: str, who: str | None, asked: ListRequest, to: tuple[BinaryIO, str], advance: Advance
) -> int:
    """Write the rows to a file of a format; `who`: None for all accounts. Returns how many. Raises ParquetMissing."""
    row, with_account = row_with_account(KINDS[kind].row)
    writer = writer_to(*to, row)
    asked = msgspec.structs.replace(asked, limit=LIMIT_MAX, is_oldest_first=True)
    read = partial(_pages, kind=KINDS[kind], asked=asked)
    return await _export(settings, who, read, (writer, with_account), advance)


async def _export(
    settings: Settings, who: str | None, read: Pages, to: tuple[Writer, WithAccount], advance: Advance
) -> int:
    """Write page after page; returns how many rows there are."""
    writer, with_account = to
    rows = 0
    async with session_of(settings) as session:
        total = 1 if who is not None else await count_accounts(session)
        done = 0
        async for account in _accounts(session, who):
            async for page in read(session, account):
                writer.write([with_account(str(account), view) for view in page])
                rows += len(page)
            done += 1
            advance("exporting accounts", done, max(done, total))
    writer.close()
    return rows


async def _accounts(session: Session, who: str | None) -> AsyncIterator[int]:
    """The account asked for, or all by number; those that open meanwhile too."""
    if who is not None:
        yield await resolved(session, who)
        return
    last = 0
    while accounts := await read_accounts_after(session, last, LIMIT_MAX):
        for account in accounts:
            yield account
        last = accounts[-1]


async def _pages(session: Session, account: int, *, kind: Kind, asked: ListRequest) -> AsyncIterator[list[Any]]:
    while True:
        page = await kind.read(session, account, asked)
        if isinstance(page, Refused):
            raise click.ClickException(f"{page.code}: {page.message}")
        if page.data:
            yield page.data
        if page.next_cursor is None:
            return
        asked = msgspec.structs.replace(asked, cursor=page.next_cursor)
