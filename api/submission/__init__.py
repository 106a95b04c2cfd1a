"""Submitting orders and cancels to the store, in batches."""
