"""docs/consume.md as a stranger uses it: its programs and commands run as they stand there."""
