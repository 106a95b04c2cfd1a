"""Market data computed from the events of a market alone: what a reader of the log needs instead of the engine."""
