"""Queries on a market, open to everyone."""
