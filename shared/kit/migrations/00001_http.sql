-- Why: signed requests must be refused the second time even after Redis was flushed, and a repeated POST of a person
-- must get its first answer again. Both are facts of the service that took the request, so they live in its schema.

-- migrate:up
CREATE TABLE request_ids (
    company text NOT NULL,
    request_id text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (company, request_id)
);

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
