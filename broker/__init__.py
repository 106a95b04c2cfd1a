"""Everything about Kafka: producer, reader, record formats, address, topics."""
