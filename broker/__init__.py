"""Everything that speaks Kafka: producer, reader, record formats, address, topics."""
