"""Sessions with PostgreSQL: connections, advisory locks, presence of processes."""
