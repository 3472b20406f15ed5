"""Topics through confluent-kafka, which shares no code with the engine's own use: make, write, and read all of one."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def fresh(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(4)}"


@dataclass
class Record:
    """One record. value None is a tombstone; key None has no key; partition -1 leaves it to the partitioner."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    timestamp: int = 0  # milliseconds; 0 is now
    partition: int = -1
    offset: int = -1

    def json(self) -> Any:
        return json.loads(self.value) if self.value is not None else None

    def key_json(self) -> Any:
        return json.loads(self.key) if self.key is not None else None


@dataclass
class Topics:
    """Talks to the broker at `settings` (librdkafka's names; bootstrap.servers at least)."""

    settings: dict[str, str]

    @classmethod
    def of(cls, bootstrap: str) -> Topics:
        return cls({"bootstrap.servers": bootstrap})

    def _client(self, **more: Any) -> dict[str, Any]:
        return {**self.settings, "log_level": 0, **more}

    def admin(self) -> AdminClient:
        return AdminClient(self._client())

    def create(self, name: str, partitions: int = 1, **config: str) -> str:
        """config: cleanup_policy="compact" is cleanup.policy=compact. Returns when the metadata has it."""
        config = {option.replace("_", "."): value for option, value in config.items()}
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(20)
        deadline = time.monotonic() + 20
        while len(self.partitions(name, admin)) < partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"topic {name} is not in the metadata")
            time.sleep(0.02)
        return name

    def delete(self, name: str) -> None:
        self.admin().delete_topics([name])[name].result(20)

    def names(self) -> set[str]:
        return set(self.admin().list_topics(timeout=10).topics)

    def partitions(self, name: str, admin: AdminClient | None = None) -> list[int]:
        found = (admin or self.admin()).list_topics(name, timeout=10).topics[name]
        return sorted(found.partitions) if found.error is None else []

    def produce(self, name: str, records: Iterable[Record], **config: Any) -> list[tuple[int, int]]:
        """Writes all and waits for the broker's word; returns (partition, offset) in the order of the records."""
        producer = Producer(self._client(**{"enable.idempotence": True, "linger.ms": 0, **config}))
        return _send(producer, name, list(records))

    def transaction(
        self, name: str, records: Iterable[Record], transactional_id: str, commit: bool = True
    ) -> list[tuple[int, int]]:
        """Writes all in one transaction and commits or aborts it. A later one with the same id fences this producer."""
        producer = Producer(self._client(**{"transactional.id": transactional_id, "linger.ms": 0}))
        producer.init_transactions(20)
        producer.begin_transaction()
        placed = _send(producer, name, list(records))
        if commit:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
        return placed

    def watermarks(self, name: str) -> dict[int, tuple[int, int]]:
        """Partition → (first offset, offset after the last)."""
        consumer = self._consumer(True)
        try:
            return {
                number: consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)
                for number in self.partitions(name)
            }
        finally:
            consumer.close()

    def consume(self, name: str, committed: bool = True, timeout: float = 30) -> list[Record]:
        """Everything that is in the topic now, by partition and offset. committed=False also what was aborted."""
        consumer = self._consumer(committed)
        records: list[Record] = []
        try:
            left = set()
            for number in self.partitions(name):
                first, end = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)
                if end > first:
                    left.add(number)
            consumer.assign([TopicPartition(name, number, 0) for number in left])
            deadline = time.monotonic() + timeout
            while left:
                message = consumer.poll(0.2)
                if message is None:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{name}: partitions {sorted(left)} not read to their end")
                    continue
                error = message.error()
                if error is None:
                    records.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise KafkaException(error)
        finally:
            consumer.close()
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def await_records(self, name: str, count: int, timeout: float = 30) -> list[Record]:
        """consume() as soon as it has that many; a topic that is not there yet counts as empty."""
        deadline = time.monotonic() + timeout
        while True:
            records = self.consume(name, timeout=timeout) if self.partitions(name) else []
            if len(records) >= count:
                return records
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name}: {len(records)} of {count} records")
            time.sleep(0.1)

    def _consumer(self, committed: bool) -> Consumer:
        return Consumer(
            self._client(
                **{
                    "group.id": "sluice-test-reader",  # never joined, never committed to
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed" if committed else "read_uncommitted",
                    "check.crcs": True,
                }
            )
        )


def _record(message: Message) -> Record:
    return Record(
        message.key(),
        message.value(),
        list(message.headers() or []),
        message.timestamp()[1],
        message.partition(),
        message.offset(),
    )


def _send(producer: Producer, name: str, records: list[Record]) -> list[tuple[int, int]]:
    placed: list[tuple[int, int]] = [(-1, -1)] * len(records)
    errors: list[KafkaError] = []

    def note(number: int):
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error)
            else:
                placed[number] = (message.partition(), message.offset())

        return delivered

    for number, record in enumerate(records):
        producer.produce(
            name,
            value=record.value,
            key=record.key,
            headers=record.headers,
            on_delivery=note(number),
            **({"partition": record.partition} if record.partition >= 0 else {}),
            **({"timestamp": record.timestamp} if record.timestamp else {}),
        )
        producer.poll(0)
    left = producer.flush(30)
    if errors:
        raise KafkaException(errors[0])
    if left:
        raise TimeoutError(f"{name}: {left} records not acknowledged")
    return placed
