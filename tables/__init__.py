"""The changelog-backed book table and the recovery that loses no command."""
