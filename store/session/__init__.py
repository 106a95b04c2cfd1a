"""PostgreSQL sessions: connections, advisory locks, presence of processes."""
