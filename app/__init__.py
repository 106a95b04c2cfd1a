"""Settings, command line and composition root."""
