"""Kafka brokers, Kafka Connect, Debezium and an Avro registry for tests; see README.md."""
