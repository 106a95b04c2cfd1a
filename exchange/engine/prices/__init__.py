"""Prices of a market: index, mark, impact, funding."""
