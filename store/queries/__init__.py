"""What people ask the database: every answer from one statement, so that it is of one moment."""
