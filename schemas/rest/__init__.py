"""Bodies of the REST contract (docs/rest.md): requests and answers.

Requests refuse unknown fields. Money, prices and quantities are decimal strings, times ISO 8601 UTC.
"""
