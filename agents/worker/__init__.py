"""What every worker is built from; it imports none of them."""
