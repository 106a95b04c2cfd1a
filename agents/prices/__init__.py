"""Price sources: plug-ins that watch a price, and the feed that reports what they see to the markets' logs."""
