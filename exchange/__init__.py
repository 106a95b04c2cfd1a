"""The market itself, pure: integers in, events out, no clock, no network."""
