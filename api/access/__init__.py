"""Access: authentication, API keys, passwords, rate limits."""
