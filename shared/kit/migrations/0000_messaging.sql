-- Why: every service speaks and hears Kafka through its own schema, so that an effect and its events commit together.
-- migrate:up

-- Events committed and not yet on Kafka. The relay deletes a row when Kafka has acknowledged it. CACHE 1: ids are
-- drawn in the order of the statements, and the aggregate's row lock orders the statements of one key.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    version bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    traceparent text,
    headers bytea,
    payload bytea
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_threshold = 20000);
COMMENT ON COLUMN outbox.payload IS 'null: a tombstone, by which its key leaves the topic';
COMMENT ON COLUMN outbox.headers IS 'only of dead letters: all Kafka headers as they are, packed; null: made from the columns';

-- What the leading relay says of the outbox. One row.
CREATE TABLE outbox_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    floor bigint NOT NULL DEFAULT 0,
    depth bigint NOT NULL DEFAULT 0,
    oldest_at timestamptz,
    measured_at timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON COLUMN outbox_state.floor IS 'every id up to it was published, set aside or never committed';
INSERT INTO outbox_state DEFAULT VALUES;

-- What Kafka refuses: a key of a topic, or (key null) the whole topic. infinity: until an operator says try again.
CREATE TABLE outbox_holds (
    hold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text,
    code text NOT NULL,
    detail text NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (topic, key)
);

-- Events taken out of the outbox because they, or what must leave before them, are refused. Ids are the outbox's.
CREATE TABLE outbox_held (
    id bigint PRIMARY KEY,
    hold_id bigint NOT NULL,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    version bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    traceparent text,
    headers bytea,
    payload bytea,
    discarded_at timestamptz,
    discarded_by text,
    reason text,
    riders text[] NOT NULL DEFAULT '{}',
    content_until timestamptz
);
COMMENT ON COLUMN outbox_held.riders IS 'whom the event is about, as in dead_letters';
COMMENT ON COLUMN outbox_held.content_until IS 'of what announces a dead letter, as in dead_letters: erasure would not find it';
CREATE INDEX outbox_held_unnamed ON outbox_held (content_until) WHERE content_until IS NOT NULL;
CREATE INDEX outbox_held_of_riders ON outbox_held USING gin (riders) WHERE riders <> '{}';
CREATE INDEX outbox_held_waiting ON outbox_held (hold_id, id) WHERE discarded_at IS NULL;
CREATE INDEX outbox_held_discarded ON outbox_held (discarded_at) WHERE discarded_at IS NOT NULL;

-- Records that could not take effect, whole, until an operator replays or discards them.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers bytea NOT NULL,
    event_id uuid,
    status text NOT NULL CHECK (status IN ('dead', 'parked', 'rejected', 'replayed', 'discarded')),
    code text NOT NULL,
    detail text NOT NULL,
    attempts integer NOT NULL,
    created_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolved_by text,
    resolution text,
    record_ms bigint NOT NULL,
    riders text[] NOT NULL DEFAULT '{}',
    content text NOT NULL DEFAULT 'kept' CHECK (content IN ('kept', 'left_out', 'erased', 'expired')),
    content_until timestamptz,
    UNIQUE (topic, partition, record_offset, record_ms)
);
COMMENT ON COLUMN dead_letters.content IS 'whether key, value and headers are here: kept, or why they are not';
COMMENT ON COLUMN dead_letters.content_until IS 'where nobody can say whom the record is about: erasure would not find it';
COMMENT ON COLUMN dead_letters.record_ms IS 'when the broker got the record: a cluster that was built again counts offsets from 0';
-- What no erasure would find loses its content in time, open or not.
CREATE INDEX dead_letters_unnamed ON dead_letters (content_until) WHERE content = 'kept' AND content_until IS NOT NULL;
-- What is resolved is kept for a while.
CREATE INDEX dead_letters_resolved ON dead_letters (resolved_at) WHERE resolved_at IS NOT NULL;
-- The list by id, and the counts that each process shows every two seconds, from this index alone.
CREATE INDEX dead_letters_open_by_id ON dead_letters (id) INCLUDE (topic, status)
    WHERE status IN ('dead', 'parked', 'rejected');
-- By the key's hash: a key is as long as whoever wrote the record has made it, and an index entry holds 2,704 bytes.
CREATE INDEX dead_letters_open ON dead_letters (topic, sha256(key), id) WHERE status IN ('dead', 'parked', 'rejected');

COMMENT ON COLUMN dead_letters.riders IS 'whom the record is about: rider ids, or marks of a company''s numbers';
CREATE INDEX dead_letters_of_riders ON dead_letters USING gin (riders) WHERE riders <> '{}';

-- How many letters are open, and what they hold in bytes, by topic: asked at each burial, since a company that sends
-- nothing but poison may not fill the schema, and shown every two seconds.
SELECT keep_numbers(
    'dead_letters', '{insert,update,delete}',
    $$SELECT 'letters', topic || ' ' || status, count(*) FROM %1$s
      WHERE status IN ('dead', 'parked', 'rejected') GROUP BY topic, status$$,
    $$SELECT 'letter_bytes', topic,
             sum(coalesce(octet_length(value), 0) + coalesce(octet_length(key), 0) + octet_length(headers))
      FROM %1$s WHERE status IN ('dead', 'parked', 'rejected') GROUP BY topic$$,
    $$SELECT 'letters_left_out', topic, count(*) FROM %1$s
      WHERE status IN ('dead', 'parked', 'rejected') AND content = 'left_out' GROUP BY topic$$);

-- Nobody but the schema's owner can empty the table at once; the numbers must not stay behind.
CREATE FUNCTION forget_letter_numbers() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM counters WHERE what IN ('letters', 'letter_bytes', 'letters_left_out');
    RETURN NULL;
END
$$;
CREATE TRIGGER dead_letters_counted_truncate AFTER TRUNCATE ON dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION forget_letter_numbers();

-- The same from history, for a recount.
CREATE VIEW counted_letters (what, label, n) AS
SELECT 'letters', topic || ' ' || status, count(*) FROM dead_letters
WHERE status IN ('dead', 'parked', 'rejected') GROUP BY topic, status
UNION ALL
SELECT 'letter_bytes', topic,
       sum(coalesce(octet_length(value), 0) + coalesce(octet_length(key), 0) + octet_length(headers))
FROM dead_letters WHERE status IN ('dead', 'parked', 'rejected') GROUP BY topic
UNION ALL
SELECT 'letters_left_out', topic, count(*) FROM dead_letters
WHERE status IN ('dead', 'parked', 'rejected') AND content = 'left_out' GROUP BY topic;

-- Of a company's records that have no letter of their own because there are too many: where they stand in its topic.
CREATE TABLE dead_letter_ranges (
    topic text NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    last_offset bigint NOT NULL,
    records bigint NOT NULL,
    code text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition)
);
COMMENT ON COLUMN dead_letter_ranges.code IS 'why the last of them was refused';
CREATE INDEX dead_letter_ranges_last_at ON dead_letter_ranges (last_at);

-- How many records of a topic became dead letters for one reason lately: over a limit they aren't buried, and the topic
-- stands still. One row for all processes: it is locked to the end of a burial's transaction.
CREATE TABLE letter_allowances (
    topic text NOT NULL,
    cause text NOT NULL,
    used double precision NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT now(),
    granted integer NOT NULL DEFAULT 0,
    granted_until timestamptz,
    granted_by text,
    reason text,
    stands_since timestamptz,
    stood_at timestamptz,
    PRIMARY KEY (topic, cause)
);
COMMENT ON COLUMN letter_allowances.used IS 'letters, less what records that took effect and time have given back, as of at';
COMMENT ON COLUMN letter_allowances.granted IS 'letters that an operator lets be buried besides, until granted_until';
COMMENT ON COLUMN letter_allowances.stood_at IS 'when a process last found no room, and left the topic where it was';

-- Keys whose successors wait for a dead letter. A consumer holds a share lock while it decides, a replay an exclusive.
CREATE TABLE parked_keys (
    topic text NOT NULL,
    key bytea NOT NULL,
    key_hash bytea GENERATED ALWAYS AS (sha256(key)) STORED,
    since timestamptz NOT NULL,
    PRIMARY KEY (topic, key_hash)
);

-- migrate:down
-- Forward only: a later migration corrects.
