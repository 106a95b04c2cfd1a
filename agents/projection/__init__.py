"""The projection worker: events of a market into PostgreSQL."""
