"""Routes for orders."""
