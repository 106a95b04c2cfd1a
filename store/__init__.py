"""PostgreSQL: what people query, and the log of what they asked for."""
