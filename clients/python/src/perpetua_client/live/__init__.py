"""The socket: one connection at a time, its subscriptions, and orders over it."""
