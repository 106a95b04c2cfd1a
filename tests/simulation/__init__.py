"""The whole stream in one process on virtual time: the real workers, with fakes for Kafka and PostgreSQL alone."""
