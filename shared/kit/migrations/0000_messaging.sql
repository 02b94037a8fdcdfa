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
    payload bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_threshold = 20000);
COMMENT ON COLUMN outbox.headers IS 'only of dead letters: all Kafka headers as they are, packed; null: made from the columns';

-- Event ids that have taken effect. A row is inserted in the effect's own transaction.
CREATE TABLE inbox (
    event_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inbox_seen_at ON inbox USING brin (seen_at);

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
    UNIQUE (topic, partition, record_offset)
);
CREATE INDEX dead_letters_open ON dead_letters (topic, key, id) WHERE status IN ('dead', 'parked', 'rejected');

-- Keys whose successors wait for a dead letter. A consumer holds a share lock while it decides, a replay an exclusive.
CREATE TABLE parked_keys (
    topic text NOT NULL,
    key bytea NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (topic, key)
);

-- migrate:down
-- Forward only: a later migration corrects.
