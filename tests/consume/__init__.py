"""docs/consume.md as an outside consumer uses it: its programs and commands run exactly as printed."""
