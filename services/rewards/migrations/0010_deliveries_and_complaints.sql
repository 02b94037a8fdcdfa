-- Why: goods that have to be brought first are not taken before they are there; and a rider can say that something was wrong.
-- migrate:up

-- Its goods are ordered, sent and ready before a voucher is taken
ALTER TABLE offers ADD COLUMN delivered boolean NOT NULL DEFAULT false;
-- NULL: they are at the counter anyhow. By its merchant, and by no event: a rider looks at the voucher.
ALTER TABLE redemptions ADD COLUMN fulfilment text CHECK (fulfilment IN ('ordered', 'sent', 'ready'));

-- What a rider says of a voucher that has ended; one at a time
CREATE TABLE complaints (
    id uuid PRIMARY KEY,
    redemption_id uuid NOT NULL REFERENCES redemptions,
    rider_id uuid NOT NULL,
    words text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'refused', 'refunded')),
    answer text,
    filed_at timestamptz NOT NULL,
    answered_at timestamptz,
    answered_by text,
    CHECK ((state = 'open') = (answered_at IS NULL)),
    CHECK ((state = 'open') = (answer IS NULL AND answered_by IS NULL))
);
CREATE UNIQUE INDEX complaints_open ON complaints (redemption_id) WHERE state = 'open';
CREATE INDEX complaints_rider ON complaints (rider_id, id);

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON complaints FROM %1$I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
