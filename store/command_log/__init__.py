"""The command log of each market: appending, the outbox, failed commands, snapshots, the identity of its broker."""
