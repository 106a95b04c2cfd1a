"""The REST API of the exchange."""
