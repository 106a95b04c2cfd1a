"""Measures, each beside its own yardstick in the same run; never a timed assertion."""
