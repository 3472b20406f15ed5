"""The bed of tests/support/kafka itself: brokers, listeners, Debezium both ways, the registry."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from support import pg, proc
from support.kafka.topics import Record, Topics, fresh

DATA = Path(__file__).parent.parent / "data" / "debezium"


@pytest.mark.parametrize("version", ["kafka", "kafka_old"])
def test_records_go_in_and_out(version: str, request: pytest.FixtureRequest) -> None:
    broker = request.getfixturevalue(version)
    print(f"Kafka {broker.version}: {broker.start_seconds:.1f} s, {broker.rss_mib()} MiB")
    topics = Topics.of(broker.bootstrap)
    name = topics.create(fresh("t"), 2, cleanup_policy="compact")
    sent = [
        Record(b"k", b"\x00\xff", [("h", b"1"), ("h", None)], 1700000000123, 1),
        Record(b"k", None, [], 1700000000124, 1),
        Record(b"e", b"", [], 1700000000125, 0),
    ]
    assert topics.produce(name, sent) == [(1, 0), (1, 1), (0, 0)]
    got = topics.consume(name)
    assert [(r.partition, r.key, r.value, r.headers, r.timestamp) for r in got] == [
        (r.partition, r.key, r.value, r.headers, r.timestamp) for r in (sent[2], sent[0], sent[1])
    ]
    kept = topics.create(fresh("x"))
    topics.transaction(kept, [Record(None, b"no")], kept, commit=False)
    topics.transaction(kept, [Record(None, b"yes")], kept)
    assert [r.value for r in topics.consume(kept)] == [b"yes"]
    assert [r.value for r in topics.consume(kept, committed=False)] == [b"no", b"yes"]


def test_listeners_and_kill(own_kafka: Any) -> None:
    broker = own_kafka(sasl=True, ssl=True, client_certificates=True, proxied=True)
    name = Topics.of(broker.bootstrap).create("t")
    Topics(broker.sasl("writer", "PLAIN")).produce(name, [Record(b"1", b"plain")])
    Topics(broker.ssl(broker.authority.issue("client"))).produce(name, [Record(b"2", b"ssl")])
    Topics.of(broker.address("PROXIED")).produce(name, [Record(b"3", b"proxied")])
    assert broker.proxy.bytes_down > 0
    broker.kill()
    before = broker.ports.copy()
    broker.start()
    print(f"after kill -9: {broker.start_seconds:.1f} s")
    assert broker.ports == before
    assert [r.value for r in Topics(broker.sasl()).consume(name)] == [b"plain", b"ssl", b"proxied"]
    wrong = [broker.sasl() | {"sasl.password": "no"}, broker.sasl("reader", "PLAIN") | {"sasl.username": "nobody"}]
    wrong += [broker.ssl(), broker.ssl() | {"bootstrap.servers": broker.address("SASL")}]
    for settings in wrong:
        with pytest.raises(KafkaException):
            Topics(settings).admin().list_topics(timeout=1.5)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return type(value).__name__


def test_debezium_writes_what_the_samples_hold(kafka: Any, kafka_connect: Any, db: pg.PgDatabase) -> None:
    print(f"Connect: {kafka_connect.start_seconds:.1f} s, {kafka_connect.rss_mib()} MiB")
    db.execute(*(part for part in (DATA / "schema.sql").read_text().split(";") if part.strip()))
    name = fresh("dbz")
    # The worker's settings of a converter are replaced as a whole, and only where the connector names the class.
    converters = {f"{side}.converter": "org.apache.kafka.connect.json.JsonConverter" for side in ("key", "value")}
    converters |= {f"{side}.converter.schemas.enable": "false" for side in ("key", "value")}
    kafka_connect.create_connector(
        name,
        {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1",
            "database.port": str(db.server.port),
            "database.user": pg.USER,
            "database.password": pg.PASSWORD,
            "database.dbname": db.name,
            "topic.prefix": name,
            "plugin.name": "pgoutput",
            "slot.name": name,
            "publication.name": name,
            "publication.autocreate.mode": "filtered",
            "table.include.list": "public.orders",
            "decimal.handling.mode": "string",
            "interval.handling.mode": "string",
            "provide.transaction.metadata": "true",
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "1",
            **converters,
        },
    )
    try:
        # What is committed before the slot is there comes as a read, not as a create.
        deadline = time.monotonic() + 30
        while not db.query("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active", [name]):
            assert time.monotonic() < deadline, "the connector makes no slot"
            time.sleep(0.1)
        db.execute(*(part for part in (DATA / "changes.sql").read_text().split(";") if part.strip()))
        records = Topics.of(kafka.bootstrap).await_records(f"{name}.public.orders", 5)
        samples = [json.loads((DATA / f"{kind}.json").read_text()) for kind in ("create", "delete", "tombstone")]
        for record, sample in zip([records[0], *records[2:4]], samples):
            assert record.key_json() == sample["key"]
            assert [header for header, _ in record.headers] == [header for header, _ in sample["headers"]]
            value, wanted = record.json(), sample["value"]
            if wanted is None:
                assert value is None
                continue
            assert (value["op"], value["before"], value["after"]) == (wanted["op"], wanted["before"], wanted["after"])
            # The first event of a slot has no earlier commit to tell of; its text is one all the same.
            assert _shape(value) == _shape(wanted)
        assert records[4].key_json() == {"id": 20}
        # Offsets are written by the worker's clock, after the records.
        proc.wait_until(lambda: bool(kafka_connect.offsets(name)), 20, "offsets of the connector", 0.2)
        assert kafka_connect.offsets(name)[0]["partition"] == {"server": name}
    finally:
        kafka_connect.delete_connector(name)


def test_debezium_jdbc_sink_fills_a_table(kafka: Any, kafka_connect: Any, target: pg.PgDatabase) -> None:
    topics = Topics.of(kafka.bootstrap)
    name = topics.create(fresh("jdbc"))
    key = {"type": "struct", "fields": [{"field": "id", "type": "int32"}], "name": "k"}
    text_field = {"field": "v", "type": "string", "optional": True}
    row = {"type": "struct", "fields": [*key["fields"], text_field], "name": "r"}

    def record(number: int, text: str | None) -> Record:
        value = json.dumps({"schema": row, "payload": {"id": number, "v": text}}).encode()
        return Record(json.dumps({"schema": key, "payload": {"id": number}}).encode(), value)

    gone = record(3, "gone")
    topics.produce(name, [record(1, "é"), record(2, "old"), gone, record(2, None), Record(gone.key, None)])
    kafka_connect.create_connector(
        name,
        {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "topics": name,
            "connection.url": f"jdbc:postgresql://127.0.0.1:{target.server.port}/{target.name}",
            "connection.username": pg.USER,
            "connection.password": pg.PASSWORD,
            "insert.mode": "upsert",
            "delete.enabled": "true",
            "primary.key.mode": "record_key",
            "schema.evolution": "basic",
            "collection.name.format": "copied",
            "consumer.override.auto.offset.reset": "earliest",
        },
    )
    try:
        deadline = time.monotonic() + 30
        rows: list[tuple] = []
        while rows != [(1, "é"), (2, None)]:
            assert time.monotonic() < deadline, rows
            time.sleep(0.2)
            if target.query("SELECT to_regclass('public.copied')")[0][0]:
                rows = target.query("SELECT id, v FROM copied ORDER BY id")
    finally:
        kafka_connect.delete_connector(name)


def test_registry_takes_and_returns_a_schema(registry: Any) -> None:
    print(f"registry: {registry.start_seconds:.1f} s, {registry.rss_mib()} MiB")
    schema = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "int"}]}
    subject = fresh("s") + "-value"
    number = registry.register(subject, json.dumps(schema))
    assert registry.register(subject, json.dumps(schema)) == number
    assert json.loads(registry.schema(number)) == schema
