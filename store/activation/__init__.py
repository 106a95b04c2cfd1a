"""Turns triggered orders that may open a position into live ones, once their margin is reserved."""

from store.activation.activation import ACTIVATION_CHANNEL, activate, read_triggered

__all__ = ["ACTIVATION_CHANNEL", "activate", "read_triggered"]
