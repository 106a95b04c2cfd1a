"""Shards in Kafka: the group that decides who owns one, and the consumer that reads the logs of its markets."""
