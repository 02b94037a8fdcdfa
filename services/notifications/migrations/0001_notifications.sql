-- Why: of what riders and companies are notified, by which way, and what became of each attempt.
-- migrate:up

-- The in-app inbox. message_id is the id of the event that it is about: a second message of one event to one rider is
-- impossible, and because event ids are time-ordered the same index serves the reader newest first.
CREATE TABLE messages (
    rider_id uuid NOT NULL,
    message_id uuid NOT NULL,
    topic text NOT NULL,
    template text NOT NULL,
    params jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    read_at timestamptz,
    PRIMARY KEY (rider_id, message_id)
) WITH (fillfactor = 95, autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX messages_created_at ON messages (created_at);

-- Who is notified of a case's steps: from the steps that brought their reports. By company, whose webhook names its own.
CREATE TABLE case_reporters (
    case_id uuid NOT NULL,
    company text COLLATE "C" NOT NULL,
    ordinal integer NOT NULL,
    rider_id uuid NOT NULL,
    report_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, company, ordinal)
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX case_reporters_rider ON case_reporters (rider_id);
CREATE INDEX case_reporters_created_at ON case_reporters (created_at);

-- Steps of crowded cases, sent to some reporters at a time; a row is gone when all are.
CREATE TABLE crowds (
    event_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    report_count integer NOT NULL,
    template text NOT NULL,
    params jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    reached_company text COLLATE "C" NOT NULL DEFAULT '',
    reached_ordinal integer NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL
);
COMMENT ON COLUMN crowds.reached_ordinal IS 'with reached_company: the last reporter who was reached, where the next batch begins';

-- What a rider has chosen. No row: all defaults.
CREATE TABLE preferences (
    rider_id uuid PRIMARY KEY,
    language text CHECK (language IN ('zh', 'en')),
    quiet_from time,
    quiet_until time,
    version bigint NOT NULL,
    CHECK ((quiet_from IS NULL) = (quiet_until IS NULL))
);

-- Ways to a person outside the app: a rider's own (rider_id) or an operator's for an area's emergencies (area).
-- The address is personal data: sealed, with a masked hint to show.
CREATE TABLE channels (
    channel_id uuid PRIMARY KEY,
    rider_id uuid,
    area text,
    kind text NOT NULL CHECK (kind IN ('mail', 'wecom', 'dingtalk', 'feishu')),
    sealed text NOT NULL,
    hint text NOT NULL,
    language text CHECK (language IN ('zh', 'en')),
    topics text[] NOT NULL,
    next_slot_at timestamptz NOT NULL DEFAULT '-infinity',
    created_at timestamptz NOT NULL,
    verified_at timestamptz,
    CHECK ((rider_id IS NULL) <> (area IS NULL))
);
COMMENT ON COLUMN channels.verified_at IS 'null: nobody has shown that the address is theirs, and it gets a code at most';
COMMENT ON COLUMN channels.next_slot_at IS 'rate limit: when the next message may leave';
CREATE INDEX channels_rider ON channels (rider_id) WHERE rider_id IS NOT NULL;
CREATE INDEX channels_area ON channels (area) WHERE area IS NOT NULL;
CREATE INDEX channels_operators ON channels (channel_id) WHERE area IS NOT NULL;

-- The last code that was sent to a channel's address, as a keyed hash. A channel's address never changes: another
-- address is another channel, so a code is always of the address that it was sent to.
CREATE TABLE channel_codes (
    channel_id uuid PRIMARY KEY REFERENCES channels ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);
CREATE INDEX channel_codes_expires_at ON channel_codes (expires_at);

-- How many codes a rider has asked for, and how many an address was to get, whoever asked.
CREATE TABLE code_limits (
    subject text PRIMARY KEY,
    window_from timestamptz NOT NULL,
    codes integer NOT NULL,
    last_at timestamptz NOT NULL
);
COMMENT ON COLUMN code_limits.subject IS 'a rider''s id, or a keyed hash of an address';
CREATE INDEX code_limits_last_at ON code_limits (last_at);

-- One webhook a company. While it fails it is probed with one delivery at a time, so that an outage costs few attempts.
CREATE TABLE webhooks (
    company text PRIMARY KEY,
    webhook_id uuid NOT NULL UNIQUE,
    url text NOT NULL,
    sealed text NOT NULL,
    sealed_previous text,
    previous_until timestamptz,
    active boolean NOT NULL DEFAULT true,
    failures integer NOT NULL DEFAULT 0,
    paused_until timestamptz NOT NULL DEFAULT '-infinity',
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON COLUMN webhooks.sealed_previous IS 'after a rotation both secrets sign until previous_until';

-- One message outside the app. delivery_id never changes: receivers use it to drop repetitions.
CREATE TABLE deliveries (
    delivery_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    lane text NOT NULL CHECK (lane IN ('webhook', 'channel')),
    target_id uuid NOT NULL,
    rider_id uuid,
    template text NOT NULL,
    params jsonb NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'failed', 'sent', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    attempts_allowed integer NOT NULL,
    has_slot boolean NOT NULL DEFAULT false,
    next_attempt_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    reason text,
    UNIQUE (event_id, target_id)
) WITH (fillfactor = 80);
COMMENT ON COLUMN deliveries.state IS 'pending: never tried; failed: tried, will be tried again; sent; dead: given up';
CREATE INDEX deliveries_due ON deliveries (lane, next_attempt_at) WHERE state IN ('pending', 'failed');
CREATE INDEX deliveries_target_due ON deliveries (target_id, next_attempt_at) WHERE state IN ('pending', 'failed');
CREATE INDEX deliveries_target_dead ON deliveries (target_id, created_at, delivery_id) WHERE state = 'dead';
-- a company's own list of one state, however many others have
CREATE INDEX deliveries_of_webhook ON deliveries (target_id, state, created_at, delivery_id) WHERE lane = 'webhook';
-- an operator's list of one state, and the oldest delivery of each lane and state
CREATE INDEX deliveries_by_state ON deliveries (state, lane, created_at, delivery_id);
CREATE INDEX deliveries_rider ON deliveries (rider_id) WHERE rider_id IS NOT NULL;
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE delivery_attempts (
    delivery_id uuid NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('sent', 'retry', 'refused')),
    status integer,
    duration_ms integer NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (delivery_id, attempt)
);

-- The record of attempts is evidence.
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, TRUNCATE ON delivery_attempts FROM %I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
