-- Why: who runs a programme makes good what went wrong. One person proposes, another decides, and both stay readable.
-- migrate:up

CREATE TABLE adjustments (
    id uuid PRIMARY KEY,
    rider_id uuid NOT NULL,
    -- > 0: given to the rider; < 0: taken
    amount bigint NOT NULL CHECK (amount <> 0 AND abs(amount) <= 1000000),
    reason text NOT NULL
        CHECK (reason IN ('goodwill', 'wrongly_refused', 'wrongly_paid', 'cheating', 'technical_fault', 'other')),
    words text NOT NULL,
    state text NOT NULL DEFAULT 'proposed' CHECK (state IN ('proposed', 'approved', 'refused', 'withdrawn')),
    proposed_by text NOT NULL,
    proposed_name text NOT NULL,
    proposed_at timestamptz NOT NULL,
    decided_by text,
    decided_name text,
    decided_words text,
    decided_at timestamptz,
    -- the proposer's own key, and a hash of what was asked for under it: for ever
    key text NOT NULL,
    input_hash bytea NOT NULL,
    CONSTRAINT adjustments_key_once UNIQUE (proposed_by, key),
    CONSTRAINT adjustments_by_two CHECK (state NOT IN ('approved', 'refused') OR decided_by <> proposed_by),
    CONSTRAINT adjustments_withdrawn_by_whoever_proposed CHECK (state <> 'withdrawn' OR decided_by = proposed_by),
    CHECK ((state = 'proposed') = (decided_at IS NULL)),
    CHECK ((decided_at IS NULL) = (decided_by IS NULL))
);
CREATE INDEX adjustments_of_rider ON adjustments (rider_id, id);
CREATE INDEX adjustments_open ON adjustments (id) WHERE state = 'proposed';

CREATE TRIGGER adjustments_stay BEFORE DELETE OR TRUNCATE ON adjustments
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER adjustments_keep_what_they_are
BEFORE UPDATE OF id, rider_id, amount, reason, words, proposed_by, proposed_name, proposed_at, key, input_hash ON adjustments
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON adjustments FROM %I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
