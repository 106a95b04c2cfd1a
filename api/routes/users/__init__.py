"""Users: registration, logins, the second factor, API keys."""
