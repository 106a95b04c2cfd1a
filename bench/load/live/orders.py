"""Orders over the socket: `python -m bench.load.live.orders FILE` reads a LiveJob on stdin and writes its Report to the file."""

import asyncio
import time
from collections import Counter, defaultdict

import msgspec

from bench.load.job import Kind, Report, do_job
from bench.load.live.connection import Refused, SocketConnection
from bench.load.live.frames import CLOSE_OPCODE, TEXT_OPCODE, Frames
from bench.load.live.job import LiveJob

LAST_ANSWERS_S = 30.0
AUTH_ID, FILLS_ID, FIRST_ID = 1, 2, 3


class _Error(msgspec.Struct):
    code: str = ""


class _Named(msgspec.Struct, rename="camel"):
    order_id: str = ""
    error: _Error | None = None


class _Received(msgspec.Struct):
    """What is needed of any message: a result has `status`, `id` and `body`, a fill has `data`."""

    op: str
    status: int = 0
    id: int = 0
    body: _Named | None = None
    data: _Named | None = None


_decode = msgspec.json.Decoder(_Received).decode


class _Client:
    """One connection of one user."""

    def __init__(self, load: "Load", token: str, turn: int) -> None:
        self._load, self._token, self._turn = load, token, turn
        self.connection: SocketConnection | None = None
        self.sent = 0
        self._frames = Frames()
        self._began: dict[int, float] = {}
        self._awaited: dict[str, float] = {}
        self._early: dict[str, float] = {}
        """Fills that have come before the result of their order."""
        self._setup: dict[int, asyncio.Future[int]] = {}
        self._freed = 0

    async def begin(self, *, sees_fills: bool) -> None:
        """Connect, say who it is, subscribe."""
        job = self._load.job
        self.connection = await SocketConnection.open(job.host, job.port, self._receive, self._lost)
        await self._ask(AUTH_ID, op="auth", token=self._token)
        if sees_fills:
            await self._ask(FILLS_ID, op="subscribe", channel="fills")

    def send(self, dues: list[float]) -> None:
        """Send an order for each of these times, in one write."""
        assert self.connection is not None
        texts, bodies = [], self._load.bodies
        for due in dues:
            number, self.sent = FIRST_ID + self.sent, self.sent + 1
            self._began[number] = due
            texts.append(b'{"op":"order.place","id":%d,%b' % (number, bodies[(self._turn + number) % len(bodies)]))
        self.connection.send(*texts)

    async def _ask(self, number: int, **fields: str) -> None:
        assert self.connection is not None
        answer = self._setup[number] = asyncio.get_running_loop().create_future()
        self.connection.send(msgspec.json.encode({"id": number, **fields}))
        if (status := await answer) != 200:
            raise Refused(f"{fields['op']} was answered {status}".encode())

    def _receive(self, data: bytes) -> None:
        now, self._freed = time.perf_counter(), 0
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT_OPCODE:
                self._take(_decode(payload), now)
            elif opcode == CLOSE_OPCODE:
                self._load.fail(Refused(b"closed by the server: " + payload))
        if self._freed:
            self._load.freed(self, self._freed)

    def _take(self, message: _Received, now: float) -> None:
        if message.op == "result":
            if message.id < FIRST_ID:
                self._setup.pop(message.id).set_result(message.status)
            else:
                self._answered(message, now)
        elif message.op == "fill" and message.data is not None:
            due = self._awaited.pop(message.data.order_id, None)
            if due is None:
                self._early[message.data.order_id] = now
            else:
                self._filled(now, due)

    def _answered(self, message: _Received, now: float) -> None:
        due = self._began.pop(message.id)
        self._load.note(f"order {message.status}", now, due)
        assert message.body is not None
        if message.status == 202 and self._load.job.sees_fills:
            filled_at = self._early.pop(message.body.order_id, None)
            if filled_at is None:
                self._awaited[message.body.order_id] = due
            else:
                self._filled(filled_at, due)
            return
        self._freed += 1
        if message.body.error is not None:
            self._load.codes[f"order {message.body.error.code}"] += 1

    def _filled(self, at: float, due: float) -> None:
        self._load.note("fill 200", at, due)
        self._freed += 1

    def _lost(self) -> None:
        self._load.fail(ConnectionResetError())


class Load:
    """One job at work."""

    def __init__(self, job: LiveJob) -> None:
        self.job = job
        self.bodies = [body[1:] for body in job.orders]
        self.codes: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._latencies: defaultdict[str, list[float]] = defaultdict(list)
        self._accepted_at: list[float] = []
        self._late: list[float] = []
        self._clients = [_Client(self, token, place) for place, token in enumerate(job.tokens)]
        self._under_way = self._started = 0
        self._has_sent_all = False
        self._began = self._ends = 0.0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> Report:
        """Connect, send for as long as asked, wait for the last answers."""
        for client in self._clients:
            await client.begin(sees_fills=self.job.sees_fills)
        self._began = time.perf_counter()
        self._ends = self._began + self.job.seconds
        if self.job.kind is Kind.CLOSED:
            for client in self._clients:
                self._send_more(client, self.job.window)
        else:
            await self._keep_the_times()
        self._has_sent_all = True
        self._end_if_done()
        async with asyncio.timeout(self.job.seconds + LAST_ANSWERS_S):
            await self._over
        seconds = time.perf_counter() - self._began
        for client in self._clients:
            assert client.connection is not None
            client.connection.close()
        return self._report(seconds)

    def freed(self, client: _Client, count: int) -> None:
        """So many orders of a client are done."""
        self._under_way -= count
        if self.job.kind is Kind.CLOSED:
            self._send_more(client, count)
        self._end_if_done()

    def fail(self, error: Exception) -> None:
        """A connection has ended, or was refused."""
        if not self._over.done():
            self._over.set_exception(error)

    def note(self, label: str, now: float, due: float) -> None:
        """Count an answer or a fill."""
        self._statuses[label] += 1
        self._latencies[label].append(1_000 * (now - due))
        if label == "order 202":
            self._accepted_at.append(now)

    def _end_if_done(self) -> None:
        if self._has_sent_all and not self._under_way and not self._over.done():
            self._over.set_result(None)

    def _send_more(self, client: _Client, count: int) -> None:
        """Send so many more orders, unless it is over."""
        if self.job.count_each:
            count = min(count, self.job.count_each - client.sent)
        if self.job.count:
            count = min(count, self.job.count - self._started)
        now = time.perf_counter()
        if count > 0 and now < self._ends:
            self._send(client, [now] * count)

    def _send(self, client: _Client, dues: list[float]) -> None:
        self._started += len(dues)
        self._under_way += len(dues)
        client.send(dues)

    async def _keep_the_times(self) -> None:
        """Every order at its time; latencies count from when it was due."""
        count = int(self.job.rate * self.job.seconds)
        while self._started < count:
            now = time.perf_counter()
            while self._started < count and (due := self._began + self._started / self.job.rate) <= now:
                self._late.append(1_000 * (now - due))
                self._send(self._clients[self._started % len(self._clients)], [due])
            await asyncio.sleep(max(0.0, self._began + self._started / self.job.rate - time.perf_counter()))

    def _report(self, seconds: float) -> Report:
        whole = [0] * (int(seconds) + 1)
        for at in self._accepted_at:
            whole[int(at - self._began)] += 1
        return Report(seconds, dict(self._statuses), dict(self.codes), dict(self._latencies), whole, self._late)


async def run(job: LiveJob) -> Report:
    """Do it in this process."""
    return await Load(job).run()


if __name__ == "__main__":
    do_job(LiveJob, run)
