"""The generated documents: OpenAPI and AsyncAPI."""
