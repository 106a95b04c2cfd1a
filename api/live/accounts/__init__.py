"""The private channels: orders, fills, positions and balances of an account, from the logs of the markets it has traded in."""
