"""The log of a market: commands to events, snapshots, and the replay that checks both."""
