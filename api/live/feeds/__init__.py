"""The public channels of a market: what each shows, encoded once for all its subscribers."""
