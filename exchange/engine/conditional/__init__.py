"""Conditional orders: they wait until their condition holds, then they enter the book (docs/semantics.md, "Conditional orders")."""
