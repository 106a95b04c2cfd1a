"""Which release this is, and how it is set up."""
