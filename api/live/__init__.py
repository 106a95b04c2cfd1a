"""The socket `GET /ws`: requests, market data and private events over one connection (docs/live.md)."""
