"""The workers of the stream: matching, projection, relay and clock."""
