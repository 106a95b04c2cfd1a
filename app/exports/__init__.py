"""What is handed to other systems: rows as files, and schemas for a registry."""
