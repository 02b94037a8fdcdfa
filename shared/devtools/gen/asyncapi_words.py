"""What the AsyncAPI document says before its first channel: what holds for all topics, for whoever integrates."""

from shared.kit.consuming.record_reading import HEADER_BYTES_MAX, HEADERS_MAX
from shared.kit.consuming.record_sets import RECORDS_MAX
from shared.kit.consuming.unpacking import GROWTH_MAX, SMALL_BYTES, UNPACKED_BYTES_MAX
from shared.kit.messaging.kafka import DLQ_BYTES_MAX, TOPIC_BYTES_MAX
from shared.kit.settings import KitSettings
from shared.provision.topology import COMPANY_QUOTA

MIB = 1024 * 1024
_REMEMBERED_DAYS = KitSettings.model_fields["inbox_retention_hours"].default // 24

INTRODUCTION = f"""\
骑手随手拍的全部事件 / All events of the suite. Every topic is listed with its key, headers, body and
dead-letter partner.

**Reading a record.** The body is plain JSON (UTF-8). Everything about the event is in the record's headers, as
CloudEvents 1.0 in Kafka's binary mode (`ce_*`). With kcat, key and headers are shown by `-f '%k %h %s\\n'`:

    kcat -b HOST:9094 -X security.protocol=SASL_SSL -X sasl.mechanism=SCRAM-SHA-512 \\
      -X sasl.username=USER -X sasl.password=PASSWORD \\
      -C -t beegrid.public.case-changed.v1 -f 'key=%k\\nheaders=%h\\n%s\\n\\n'

Clients on librdkafka need 2.6.1 or newer (`kcat -V` says): Kafka 4 refuses the SCRAM answer of older ones, as if the
password were wrong.

**Delivery.** At least once: drop a `ce_id` that was seen before. Events of one key are in order, with
`ce_aggregateversion` rising; across keys and across topics no order is promised.

**Coming late.** Each channel says how long it keeps what. Some have facts for a time: what is older has gone. Others
keep the latest state of each key for good (`cleanup.policy` `compact`): read one from its beginning, and you know the
producer's whole state, whenever you come. Superseded states go, so whoever comes late sees gaps in
`ce_aggregateversion`, and has missed nothing that still holds. A record without a value (a tombstone) says that its
key has left: forget what you keep of it.

**Order and partitions.** What the suite writes goes to partition `crc32(key) % partitions` (librdkafka's
`consistent`); to read it, no one needs to know. A company writes with whatever partitioner its client has: its
records are independent, none waits for another. Of two records with one number the first that is taken counts.

**Sent twice.** A company's event is known by `ce_source` and `ce_id` for {_REMEMBERED_DAYS} days (a setting), over
HTTP as on Kafka; sent again it has no second effect, and with other content it is refused as `event_known`. A report's
`external_id` is known for good: with the same content it is the same report, with other content it is refused as
`idempotency_conflict`. So producers may retry without end, and `enable.idempotence` is welcome and not needed.

**Sizes.** A body has at most the bytes that its channel says, a record {HEADERS_MAX} headers in
{HEADER_BYTES_MAX // 1024} KiB: what is larger is a dead letter (`content_too_large`, `malformed_event`). The broker
takes batches of up to {TOPIC_BYTES_MAX // MIB} MiB as they travel (`max.message.bytes`), and answers
`MESSAGE_TOO_LARGE` to larger ones; dead-letter topics take {DLQ_BYTES_MAX // 1024:,} KiB.

**Compression.** `none`, `gzip`, `snappy`, `lz4` and `zstd`, all alike. A batch unpacks to at most
{UNPACKED_BYTES_MAX // MIB} MiB, beyond {SMALL_BYTES // MIB} MiB to no more than {GROWTH_MAX} times its size, and has
at most {RECORDS_MAX:,} records. One that can't be unpacked is one dead letter (`unreadable_batch`) for all its
records. `linger.ms` of 5 to 50 with `lz4` or `zstd` serves most.

**Quotas.** A company may send {COMPANY_QUOTA.bytes_per_s // MIB} MiB a second to each broker, and use
{COMPANY_QUOTA.request_percentage} % of one of its request threads. Beyond it Kafka answers later and later; nothing
is refused or lost. City systems have no quota.

**Transactions.** A company's transactional producer is refused (`TRANSACTIONAL_ID_AUTHORIZATION_FAILED`), on purpose:
who may open a transaction may leave it open, and keep everybody who reads committed records from going on; and the
promise that it would bring is there already, since a number takes effect once. The suite's own events are published
from the outbox of the transaction that made them, so `isolation.level` makes no difference to readers.

**Refused records.** What can't take effect is on the topic's `.dlq`, with key, value and headers as they came (but for
more headers than a record may have) and the reason in `dlq-*` headers; the rest of the topic goes on. The codes are
those of HTTP (`docs/problems.md`, and `GET /v1/catalogue/codes`). A field that nobody knows is refused, and so are a
text where a number or a truth value is wanted, and a key that isn't the body's number; no key at all is fine.

**Names.** `beegrid.` is the default prefix of an installation (`BEEGRID_TOPIC_PREFIX`). The last part of a topic is
the version of its contract.

**Evolution.** Within a version readers see optional fields and values of enumerations added, and nothing taken away:
read what you know, and treat a value that you don't know as such. What a company sends may get optional fields too.
Anything else is a new topic, `….v2`, beside the old one: both are written, or taken, for at least twelve months from
the release that has the new one, and the release notes say when the old one ends. `internal` topics may change with a
release.

**Audience.** `public` topics are for city systems, some for companies too; `inbound` topics are written by one
company each, `outbound` topics are read by one company each, and the broker's ACL ties the topic's name to the
company's user; `internal` topics are for the suite's services.

**Schemas.** JSON Schema 2020-12, in `shared/events/schemas`. Words that begin with `x-` are the suite's own, declared
in `shared/events/vocabulary.json`; they only say something, and no validator has to follow them. Strict ones take
them from there: `ajv.addVocabulary(Object.keys(vocabulary.properties))`.
"""
