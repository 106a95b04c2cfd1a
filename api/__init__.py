"""The REST face of the exchange."""
