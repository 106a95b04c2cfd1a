"""Bare programs to compare with."""
