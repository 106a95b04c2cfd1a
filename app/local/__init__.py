"""The machinery of a local exchange: its own PostgreSQL, its own broker, and the supervisor that keeps them alive."""
