"""Load over the socket `GET /ws`."""
