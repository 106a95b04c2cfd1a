"""One market, all accounts: commands in, events out."""
