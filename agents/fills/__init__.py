"""The publishing worker: the public fill stream of a market."""
