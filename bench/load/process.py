"""The load generator: `python -m bench.load.process FILE` reads a Job on stdin and writes its Report to the file."""

import asyncio
import re
import time
from collections import Counter, defaultdict, deque

from bench.load.connection import Connection, header_of
from bench.load.job import Amend, Job, Kind, Report, Seen, do_job

AFTER_REFUSAL_S = 0.02
LOOK_AGAIN_S = 0.001
POLL_S = 0.003
LOOK_AGAIN_SHARE = 0.1  # of the time waited so far: what a look adds to a latency is bounded by a tenth of it
LAST_ANSWERS_S = 30.0
REQUESTS_A_CONNECTION = 64
_ORDER_ID = re.compile(rb'"orderId": ?"([^"]+)"')
_CODE = re.compile(rb'"code": ?"([^"]+)"')
_REFUSED = frozenset({429, 503})


class Load:
    """One job at work."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._requests = _prebuilt(job)
        self._sent: Counter[int] = Counter()
        self._turns: Counter[int] = Counter()
        self._began = 0.0
        self._ends = 0.0
        self._under_way = 0
        self._started = 0
        self._statuses: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._latencies: defaultdict[str, list[float]] = defaultdict(list)
        self._accepted_at: list[float] = []
        self._late: list[float] = []
        self._bodies: list[bytes] = []
        self._cut = 0
        self._done = asyncio.Event()
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()

    async def run(self) -> Report:
        """Connect, send for as long as asked, wait for the last answers."""
        loop = asyncio.get_running_loop()
        connections = [await self._connect(loop, place) for place in range(self._job.connections)]
        self._began = time.perf_counter()
        self._ends = self._began + self._job.seconds
        if self._job.kind is Kind.CLOSED:
            for connection in connections:
                self._next(connection)
        else:
            self._idle.extend(connections)
            await self._keep_the_times()
        if self._under_way:
            self._done.clear()  # it was set each time nothing was under way
            async with asyncio.timeout(self._job.seconds + LAST_ANSWERS_S):
                await self._done.wait()
        seconds = time.perf_counter() - self._began
        for connection in connections:
            connection.close()
        return self._report(seconds)

    async def _connect(self, loop: asyncio.AbstractEventLoop, place: int) -> Connection:
        _, connection = await loop.create_connection(
            lambda: Connection(place, self._lost), self._job.host, self._job.port
        )
        return connection

    def _lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    # closed loop

    def _next(self, connection: Connection) -> None:
        now, place = time.perf_counter(), connection.place
        if now >= self._ends or 0 < self._job.count <= self._started:
            return
        if self._job.amends and self._sent[place] == len(self._requests[place]):
            return
        self._start(connection, now)

    # open loop

    async def _keep_the_times(self) -> None:
        """Every operation at its time; those that find no free connection wait, and their time counts from when they were due."""
        count = self._job.count or int(self._job.rate * self._job.seconds)
        started = 0
        while started < count:
            now = time.perf_counter()
            while started < count and (due := self._began + started / self._job.rate) <= now:
                started += 1
                self._due.append(due)
            self._serve_due(may_be_late=False)
            await asyncio.sleep(max(0.0, self._began + started / self._job.rate - time.perf_counter()))

    def _serve_due(self, *, may_be_late: bool) -> None:
        while self._due and self._idle:
            due = self._due.popleft()
            if not may_be_late:
                self._late.append(time.perf_counter() - due)
            self._start(self._idle.popleft(), due)

    # one operation

    def _start(self, connection: Connection, due: float) -> None:
        self._started += 1
        self._under_way += 1
        place = connection.place
        self._turns[place] += 1
        if self._job.cancel_every and connection.cancel_request and self._turns[place] % self._job.cancel_every == 0:
            self._cancel(connection, due)
            return
        request = self._requests[place][self._sent[place] % len(self._requests[place])]
        self._sent[place] += 1
        if self._job.amends:
            connection.send(request, lambda c, status, answer: self._amended(c, status, answer, due))
            return
        connection.send(request, lambda c, status, answer: self._ordered(c, status, answer, due))

    def _ordered(self, connection: Connection, status: int, answer: bytes, due: float) -> None:
        now = time.perf_counter()
        self._count("order", status, now - due, answer)
        if status == 202:
            self._accepted_at.append(now)
            if self._job.keeps_orders:
                self._bodies.append(answer)
            if self._job.cancel_every:
                self._remember(connection, answer)
            if self._job.seen is not Seen.ANSWER:
                self._look(connection, answer, due)
                return
        self._end(connection, status)

    def _amended(self, connection: Connection, status: int, answer: bytes, due: float) -> None:
        self._count("amend", status, time.perf_counter() - due, answer)
        self._end(connection, status)

    def _remember(self, connection: Connection, answer: bytes) -> None:
        """Its id, with the token it was placed by: the last one sent on this connection."""
        place = connection.place
        order = _ORDER_ID.search(answer)
        token = self._token_of(place, self._sent[place] - 1)
        if order is not None:
            connection.cancel_request = _request(self._job, "DELETE", f"/orders/{order[1].decode()}", token)

    def _cancel(self, connection: Connection, due: float) -> None:
        request, connection.cancel_request = connection.cancel_request, b""

        def cancelled(c: Connection, status: int, answer: bytes) -> None:
            self._count("cancel", status, time.perf_counter() - due, answer)
            self._end(c, status)

        connection.send(request, cancelled)

    def _look(self, connection: Connection, answer: bytes, due: float) -> None:
        """Ask for the fills of the order until there is one."""
        order = _ORDER_ID.search(answer)
        assert order is not None
        token = self._token_of(connection.place, self._sent[connection.place] - 1)
        waits = self._job.seen is Seen.FILL_AFTER_WAIT
        awaited = {"X-Wait-For-Command": header_of(answer, b"x-command-id").decode()} if waits else {}
        path = f"/fills?orderId={order[1].decode()}&limit=1"
        request = _request(self._job, "GET", path, token, headers=awaited)

        def looked(c: Connection, status: int, fills: bytes) -> None:
            now = time.perf_counter()
            if b'"tradeId"' in fills:
                self._count("fill", status, now - due, fills)
                self._end(c, status)
            elif status == 0 or now > self._ends + LAST_ANSWERS_S:
                self._count("fill missing", status, now - due, fills)
                self._end(c, status)
            else:
                asyncio.get_running_loop().call_later(self._look_again_s(now - due), c.send, request, looked)

        connection.send(request, looked)

    def _look_again_s(self, waited_s: float) -> float:
        if self._job.seen is Seen.FILL_POLLED:
            return POLL_S
        return max(LOOK_AGAIN_S, LOOK_AGAIN_SHARE * waited_s)

    def _count(self, what: str, status: int, took_s: float, answer: bytes) -> None:
        label = f"{what} {status}"
        self._statuses[label] += 1
        self._latencies[label].append(1_000 * took_s)
        if status >= 400 and (code := _CODE.search(answer)):
            self._codes[f"{what} {code[1].decode()}"] += 1

    def _end(self, connection: Connection, status: int) -> None:
        self._under_way -= 1
        if status == 0:
            self._cut += 1
        elif self._job.kind is Kind.OPEN:
            self._idle.append(connection)
            self._serve_due(may_be_late=True)
        elif status in _REFUSED:
            asyncio.get_running_loop().call_later(AFTER_REFUSAL_S, self._next, connection)
        else:
            self._next(connection)
        if not self._under_way:
            self._done.set()

    def _token_of(self, place: int, number: int) -> str:
        tokens, requests = self._job.tokens, len(self._requests[place])
        return tokens[(place + number % requests * self._job.connections) % len(tokens)]

    def _report(self, seconds: float) -> Report:
        whole = [0] * (int(seconds) + 1)
        for at in self._accepted_at:
            whole[int(at - self._began)] += 1
        orders = [found[1].decode() for body in self._bodies if (found := _ORDER_ID.search(body))]
        late = [1_000 * each for each in self._late]
        return Report(
            seconds, dict(self._statuses), dict(self._codes), dict(self._latencies), whole, late, orders, self._cut
        )


def _prebuilt(job: Job) -> list[list[bytes]]:
    """For each connection the requests it sends in turn: bodies and tokens spread over all connections."""
    if job.amends:
        return [
            [_amend_request(job, amend) for amend in job.amends[place :: job.connections]]
            for place in range(job.connections)
        ]
    return [
        [
            _request(
                job,
                "POST",
                "/orders",
                job.tokens[(place + number * job.connections) % len(job.tokens)],
                body=job.orders[(place + number * job.connections) % len(job.orders)],
            )
            for number in range(REQUESTS_A_CONNECTION)
        ]
        for place in range(job.connections)
    ]


def _amend_request(job: Job, amend: Amend) -> bytes:
    return _request(job, "PUT", f"/orders/{amend.order}", job.tokens[amend.token], body=amend.body)


def _request(
    job: Job, method: str, path: str, token: str, *, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    lines = {"Host": f"{job.host}:{job.port}", "Authorization": f"Bearer {token}", **(headers or {})}
    if body:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


if __name__ == "__main__":
    do_job(Job, lambda job: Load(job).run())
