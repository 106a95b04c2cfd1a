"""Queries for operators: health, lags, progress."""
