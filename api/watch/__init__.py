"""What an API process notices about itself: outages of its database, and its limit of open files."""
