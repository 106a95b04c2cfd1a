"""One client's connection to the socket: its requests, its limits, and how it ends."""
