"""Users, their API keys, and the networks that keys are bound to."""
