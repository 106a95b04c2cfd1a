"""The matching worker: commands of a market in, events out."""
