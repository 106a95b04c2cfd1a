"""P10: orders accepted over one pipelined socket per client, compared with the same clients over HTTP (P1) in the same round.

No engine runs, as in P1. A user has one connection and may have 500 orders in a market, so a round ends by its count where the time
does not end it first.
"""

from pathlib import Path

from bench.load.job import Job, Kind, Report, run_in_process, run_load
from bench.load.live.job import LiveJob
from bench.load.order_bodies import random_orders
from bench.load.users import make_users
from bench.measures.acceptance import SECRET, clear
from bench.result import Bar, Outcome, compared, percentile
from bench.servers import api_server
from bench.sizes import Size

CLIENTS = 32
WINDOW = 16
"""Orders that a client leaves unanswered."""
OF_A_USER = 800
BAR = Bar(1.3)


async def measure(dsn: str, folder: Path, size: Size) -> Outcome:
    """Rounds of both in turn."""
    clients = min(CLIENTS, size.users)
    users = await make_users(dsn, SECRET, size.users, "socket")
    tokens, orders = [funded.token for funded in users], random_orders(clients, 1_000)
    async with api_server(folder, dsn, SECRET) as port:
        over_http = Job("127.0.0.1", port, Kind.CLOSED, size.acceptance_s, clients, tokens, orders)
        over_socket = LiveJob(
            "127.0.0.1", port, Kind.CLOSED, size.acceptance_s, tokens[:clients], orders, WINDOW, count_each=OF_A_USER
        )
        rates: dict[str, list[float]] = {"http": [], "socket": []}
        for number in range(-1, size.rounds):
            await clear(dsn)
            http = await run_load(over_http)
            await clear(dsn)
            socket = await run_in_process("bench.load.live.orders", over_socket)
            for name, report in {"http": http, "socket": socket}.items():
                assert set(report.statuses) == {"order 202"}, (name, report.statuses, report.codes)
                if number >= 0:  # the first round is the warm-up
                    rates[name].append(report.accepted / report.seconds)
    what = f"accepted over a socket, {clients} clients with {WINDOW} in flight"
    row = compared("P10", what, "orders/s", rates["socket"], ("over HTTP", rates["http"]), BAR)
    return Outcome([row], notes=[_note(socket)])


def _note(report: Report) -> str:
    took = report.latencies_ms["order 202"]
    shares = ", ".join(f"p{share:g} {percentile(took, share / 100):.1f} ms" for share in (50, 90, 99))
    return f"P10: answer to an order over the socket: {shares}."
