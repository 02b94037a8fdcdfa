-- Why: a counter without network takes vouchers from a list that it fetched before, and says later what it took.
-- migrate:up

-- On a list that is not settled: until then it neither expires nor is cancelled, so that nothing is taken and given back
ALTER TABLE redemptions ADD COLUMN kept_until timestamptz;

CREATE TABLE offline_lists (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL,
    good_until timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    redemption_ids uuid[] NOT NULL,
    settled_at timestamptz,
    -- of what was uploaded: the same again gets the same answer, something else none
    digest bytea,
    CHECK (made_at < good_until AND good_until <= closes_at),
    CHECK ((settled_at IS NULL) = (digest IS NULL))
);
CREATE INDEX offline_lists_open ON offline_lists (closes_at) WHERE settled_at IS NULL;

-- A line of what a counter took. Who bears a voucher that was used twice, or was none, says `borne_by`.
CREATE TABLE offline_takings (
    list_id uuid NOT NULL REFERENCES offline_lists,
    line integer NOT NULL CHECK (line >= 0),
    merchant_id uuid NOT NULL,
    redemption_id uuid,
    offer_id uuid,
    points integer NOT NULL CHECK (points >= 0),
    taken_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('sold', 'double', 'late', 'ended', 'foreign', 'unknown')),
    borne_by text CHECK (borne_by IN ('programme', 'merchant')),
    first_merchant_id uuid,
    first_at timestamptz,
    PRIMARY KEY (list_id, line),
    CHECK ((outcome = 'sold') = (borne_by IS NULL)),
    CHECK ((outcome = 'double') = (first_merchant_id IS NOT NULL))
);
CREATE INDEX offline_takings_double ON offline_takings (list_id, line) WHERE outcome = 'double';
CREATE INDEX offline_takings_merchant ON offline_takings (merchant_id, heard_at) WHERE borne_by = 'programme';
-- A voucher is sold once, by whichever way
CREATE UNIQUE INDEX offline_takings_sold ON offline_takings (redemption_id) WHERE outcome = 'sold';

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON offline_lists FROM %1$I; REVOKE UPDATE, DELETE, TRUNCATE ON offline_takings FROM %1$I',
                   regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
