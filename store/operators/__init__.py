"""What operators do, each act in one transaction with its entry in the log of operators."""
