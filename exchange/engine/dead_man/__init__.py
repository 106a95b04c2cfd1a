"""The dead-man's switch: an account's timer, which ends its orders when nobody renews it (docs/semantics.md, "Dead-man's switch")."""
