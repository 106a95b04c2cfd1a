"""The projection worker: writes the events of a market to PostgreSQL."""
