"""Following an event log as it is written, without a consumer group."""
