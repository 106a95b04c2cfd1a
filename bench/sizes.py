"""How much of everything is measured: in full, in three minutes, or just enough for a test to see that it runs."""

import msgspec


class Size(msgspec.Struct, frozen=True):
    """Rounds, seconds, counts."""

    name: str
    rounds: int
    acceptance_s: float
    acceptance_clients: tuple[int, ...]
    users: int
    completion_s: float
    idle_orders: int
    rates: tuple[int, ...]
    rate_s: float
    book_operations: int
    book_rounds: int
    big_book: int
    engine_commands: int
    engine_rounds: int
    projection_trades: int
    projection_rounds: int
    overload_s: float
    peak_s: float
    peaks: int
    starts: int
    idle_s: float
    soak_s: float
    crowd: int
    equal_markets: int
    zipf_markets: int
    kills: int
    subscribers: int
    broadcast_s: float
    broadcast_rounds: int


FULL = Size(
    name="full",
    rounds=5,
    acceptance_s=3.0,
    acceptance_clients=(32, 128),
    users=256,
    completion_s=60.0,
    idle_orders=200,
    rates=(10, 50, 100, 200, 400, 800),
    rate_s=8.0,
    book_operations=200_000,
    book_rounds=7,
    big_book=100_000,
    engine_commands=60_000,
    engine_rounds=3,
    projection_trades=6_000,
    projection_rounds=5,
    overload_s=60.0,
    peak_s=15.0,
    peaks=3,
    starts=3,
    idle_s=30.0,
    soak_s=600.0,
    crowd=100_000,
    equal_markets=50,
    zipf_markets=200,
    kills=20,
    subscribers=1_000,
    broadcast_s=6.0,
    broadcast_rounds=2,
)
QUICK = Size(
    name="quick",
    rounds=2,
    acceptance_s=1.5,
    acceptance_clients=(32, 128),
    users=256,
    completion_s=15.0,
    idle_orders=50,
    rates=(10, 100, 400),
    rate_s=3.0,
    book_operations=60_000,
    book_rounds=3,
    big_book=100_000,
    engine_commands=20_000,
    engine_rounds=1,
    projection_trades=1_500,
    projection_rounds=2,
    overload_s=15.0,
    peak_s=6.0,
    peaks=2,
    starts=1,
    idle_s=30.0,
    soak_s=60.0,
    crowd=10_000,
    equal_markets=10,
    zipf_markets=20,
    kills=5,
    subscribers=1_000,
    broadcast_s=4.0,
    broadcast_rounds=1,
)
TINY = Size(
    name="tiny",
    rounds=1,
    acceptance_s=0.3,
    acceptance_clients=(2,),
    users=4,
    completion_s=0.5,
    idle_orders=2,
    rates=(10,),
    rate_s=0.5,
    book_operations=2_000,
    book_rounds=1,
    big_book=2_000,
    engine_commands=2_000,
    engine_rounds=1,
    projection_trades=100,
    projection_rounds=1,
    overload_s=1.0,
    peak_s=0.5,
    peaks=1,
    starts=1,
    idle_s=1.0,
    soak_s=3.0,
    crowd=20,
    equal_markets=3,
    zipf_markets=4,
    kills=1,
    subscribers=3,
    broadcast_s=1.0,
    broadcast_rounds=1,
)
SIZES = {size.name: size for size in (FULL, QUICK, TINY)}
