"""Orders and cancels without aiohttp's request handling; the only code that uses its private names (docs/adr/0013)."""
