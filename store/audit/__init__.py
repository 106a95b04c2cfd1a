"""Audits: the invariants, checked in one snapshot, in depth, and continuously."""
