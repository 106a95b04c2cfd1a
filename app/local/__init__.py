"""A local exchange: its own PostgreSQL, its own broker, and the supervisor that keeps them running."""
