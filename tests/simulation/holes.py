"""The places where an event log has lost events that were not persisted."""

from schemas.wire import EventRecord


class Holes:
    """Follows one events log by what is appended to it: a record at an offset it has had says that the log was cut."""

    def __init__(self) -> None:
        self._spans: list[range] = []

    def missing_before(self, offset: int, record: EventRecord, persisted: int) -> int | None:
        """Take in a record; the first event before it that is neither in the log nor persisted."""
        del self._spans[offset:]
        there = {seq for span in self._spans if span.stop > persisted for seq in span}
        self._spans.append(range(record.first_event_seq, record.last_event_seq + 1))
        return next((seq for seq in range(persisted + 1, record.first_event_seq) if seq not in there), None)
