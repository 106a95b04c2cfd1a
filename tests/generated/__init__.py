"""Clients generated from the documents: they compile, and trade. The folders pin the tools; docs/rest.md has the commands."""
