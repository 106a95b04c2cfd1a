"""The recorded crash day: a scenario played through the real exchange, and the proof that its receipts add up."""
