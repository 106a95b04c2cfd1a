"""Indexes over the resting orders: derived from the book, never stored, rebuilt when a market is loaded."""
