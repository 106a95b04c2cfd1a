"""The parts that every worker is built from; it imports no worker."""
