"""Orders and cancels without aiohttp's own request handling: everything that uses its private names."""
