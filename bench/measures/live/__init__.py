"""P9 to P11: the socket."""
