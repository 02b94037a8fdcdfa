-- Why: a signed request must have no second effect even after Redis was flushed, and whoever repeats a request must get
-- its first answer again. Both are facts of the service that took the request, so they live in its schema.

-- migrate:up
CREATE TABLE request_ids (
    company text NOT NULL,
    request_id text NOT NULL,
    content_hash bytea NOT NULL,
    claim uuid NOT NULL,
    took_effect boolean NOT NULL DEFAULT false,
    status int,
    media_type text,
    response bytea,
    seen_at timestamptz NOT NULL,
    riders text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (company, request_id)
);

COMMENT ON COLUMN request_ids.claim IS 'who works on it; another one where the first was given up';
COMMENT ON COLUMN request_ids.took_effect IS 'set by the transaction of the work: it is never done a second time';
COMMENT ON COLUMN request_ids.status IS 'of the answer; null: not answered yet';
COMMENT ON COLUMN request_ids.response IS 'null: not kept';
COMMENT ON COLUMN request_ids.riders IS 'marks of the company''s numbers that the request names: whose erasure empties the answer';

CREATE INDEX request_ids_seen_at ON request_ids (seen_at);

CREATE TABLE idempotency_keys (
    principal text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    status int,
    response bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- migrate:down
-- Forward-only: a mistake here is corrected by a later migration.
