"""Queries: every answer comes from one statement, so it is one consistent snapshot."""
