"""Bodies of the REST contract (docs/rest.md): what clients send and what they are answered.

Requests refuse unknown fields. Money, prices and quantities are decimal strings, times ISO 8601 UTC.
"""
