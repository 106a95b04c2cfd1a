"""PostgreSQL: the tables that clients query, and the log of their commands."""
