-- A gift is there once: stock moves between free, held and sold under checks that no code can talk round.

-- migrate:up
CREATE TABLE merchants (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    name text NOT NULL,
    address text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    -- why nobody can redeem here any more; vouchers that are out stay good
    closed_reason text,
    created_at timestamptz NOT NULL
);

CREATE TABLE offers (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    merchant_id uuid NOT NULL REFERENCES merchants,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    price integer NOT NULL CHECK (price >= 0),
    donated_by text,
    stock integer NOT NULL CHECK (stock >= 0),
    free integer NOT NULL CHECK (free >= 0),
    held integer NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold integer NOT NULL DEFAULT 0 CHECK (sold >= 0),
    per_rider_max integer CHECK (per_rider_max > 0),
    per_day_max integer CHECK (per_day_max > 0),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    -- minutes of the city's day in which the counter takes vouchers; the end may lie after midnight
    opens_minute smallint NOT NULL DEFAULT 0 CHECK (opens_minute BETWEEN 0 AND 1439),
    closes_minute smallint NOT NULL DEFAULT 1440 CHECK (closes_minute BETWEEN 1 AND 2880),
    voucher_minutes integer NOT NULL CHECK (voucher_minutes > 0),
    closed_reason text,
    created_at timestamptz NOT NULL,
    CONSTRAINT offers_stock_adds_up CHECK (free + held + sold = stock),
    CHECK (valid_from < valid_until),
    CHECK (opens_minute < closes_minute)
) WITH (fillfactor = 50);
CREATE INDEX offers_merchant ON offers (merchant_id);

-- One rider's way to one gift. Deadlines are reckoned by the database's clock, so that a replica whose own clock is wrong
-- neither takes a voucher away too early nor keeps stock too long.
CREATE TABLE redemptions (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    rider_id uuid NOT NULL,
    offer_id uuid NOT NULL REFERENCES offers,
    merchant_id uuid NOT NULL,
    offer_name text NOT NULL,
    price integer NOT NULL CHECK (price >= 0),
    state text NOT NULL CHECK (state IN ('requested', 'issued', 'used', 'expired', 'refused', 'cancelled', 'undone')),
    reason text,
    requested_on date NOT NULL,
    requested_at timestamptz NOT NULL,
    -- requested: when points had time enough to answer; issued: when the voucher ends
    deadline_at timestamptz NOT NULL,
    issued_at timestamptz,
    ended_at timestamptz,
    -- by an operator, who said why in `reason`; when it was used stays in ended_at
    undone_at timestamptz,
    undone_by text,
    -- the code itself is nowhere: a keyed hash to find it by, and a sealed copy to show its rider again
    code_hash bytea UNIQUE,
    code_sealed bytea,
    CHECK ((state = 'undone') = (undone_at IS NOT NULL AND undone_by IS NOT NULL)),
    CHECK ((state IN ('issued', 'used', 'expired')) <= (code_hash IS NOT NULL)),
    CHECK ((state IN ('requested', 'issued')) = (ended_at IS NULL))
);
CREATE INDEX redemptions_rider ON redemptions (rider_id, id);
-- Quotas are counted here under the offer's lock: of what counts alone, so that what came to nothing is never read.
CREATE INDEX redemptions_quota ON redemptions (offer_id, rider_id) WHERE state IN ('requested', 'issued', 'used');
CREATE INDEX redemptions_day ON redemptions (offer_id, requested_on) WHERE state IN ('requested', 'issued', 'used');
-- A rider waits for the points of one piece of an offer before they get another: nobody holds stock by asking on and on
CREATE UNIQUE INDEX redemptions_open ON redemptions (rider_id, offer_id) WHERE state = 'requested';
CREATE INDEX redemptions_due ON redemptions (deadline_at) WHERE state IN ('requested', 'issued');
CREATE INDEX redemptions_used ON redemptions (merchant_id, ended_at) WHERE state = 'used';
-- by age they leave
CREATE INDEX redemptions_worthless ON redemptions (ended_at) WHERE state IN ('refused', 'cancelled');

-- What a merchant is owed stays. A release that would delete more than what never had a value fails here.
CREATE FUNCTION redemption_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'redemption % is %, and stays', OLD.id, OLD.state USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER redemptions_stay BEFORE DELETE ON redemptions FOR EACH ROW
    WHEN (OLD.state NOT IN ('refused', 'cancelled')) EXECUTE FUNCTION redemption_stays();

-- Riders whom points have refused lately because they had too few, and what they have had since: who asks again within a
-- minute gets the same answer without holding a piece. Riders who were never refused have no row, however often they earn.
CREATE TABLE shortages (
    rider_id uuid PRIMARY KEY,
    -- of the account: an older movement changes nothing
    version bigint NOT NULL CHECK (version > 0),
    available bigint NOT NULL CHECK (available >= 0),
    refused_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX shortages_refused ON shortages (refused_at);

-- Wrong codes per merchant in the running window. In Postgres, since a limit that a flushed cache forgets is none.
CREATE TABLE voucher_attempts (
    merchant_id uuid PRIMARY KEY,
    window_from timestamptz NOT NULL,
    wrong integer NOT NULL CHECK (wrong >= 0)
);

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON merchants, offers FROM %1$I; REVOKE TRUNCATE ON redemptions FROM %1$I',
                   regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- We only go forward: vouchers that riders hold can't be taken back by a release.
