"""Measures, each compared with its own yardstick in the same run; never a timed assertion."""
