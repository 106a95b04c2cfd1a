"""The frames of the socket `GET /ws`."""
