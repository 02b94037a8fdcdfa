-- Points are value: every movement is a new row that nobody can change, and each balance is the sum of its rows.

-- migrate:up
CREATE TABLE accounts (
    rider_id uuid PRIMARY KEY,
    -- counts the rider's movements and refusals; the published events carry it, so it goes 1..n without gaps
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    pending bigint NOT NULL DEFAULT 0 CHECK (pending >= 0),
    available bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    -- projection of riders.rider-changed; an inactive rider still earns what he reported but can't spend
    active boolean NOT NULL DEFAULT true,
    rider_version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- The id is that of the report or redemption the hold is for: a second hold for the same thing can't exist.
-- Only the primary key is indexed, so that ending a hold stays inside its page. No foreign keys inside the ledger: each
-- costs a look-up and a row lock per line on the busiest path; the reconciliation finds a line without its account.
CREATE TABLE holds (
    id uuid PRIMARY KEY,
    source text NOT NULL CHECK (source IN ('report', 'redemption')),
    rider_id uuid NOT NULL,
    case_id uuid,
    grid_code text,
    kind text NOT NULL DEFAULT '',
    amount bigint NOT NULL CHECK (amount >= 0),
    state text NOT NULL CHECK (state IN ('held', 'posted', 'voided', 'reversed', 'refused')),
    reason text,
    made_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK ((source = 'report') = (case_id IS NOT NULL)),
    CHECK ((state = 'held') = (ended_at IS NULL)),
    CHECK (state <> 'reversed' OR source = 'report')
) WITH (fillfactor = 80);

-- One row moves a positive amount from one account to another, so every transaction sums to 0 by its form: no trigger
-- has to add lines up (a deferred constraint trigger costs more than the insert itself). pending, available and reserved
-- are accounts of the row's rider; issuance, redeemed and written_off are house accounts, whose balances are only ever
-- derived: one updated row for all riders would halve the rate.
CREATE TABLE entries (
    rider_id uuid NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    line smallint NOT NULL,
    entry_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    movement text NOT NULL,
    from_account text NOT NULL,
    to_account text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    made_at timestamptz NOT NULL,
    step smallint GENERATED ALWAYS AS (CASE movement WHEN 'held' THEN 1 WHEN 'reversed' THEN 3 ELSE 2 END) STORED,
    PRIMARY KEY (rider_id, version, line),
    -- a hold is made once, ends once (posted or voided) and is reversed once, whatever the code above does
    CONSTRAINT entries_hold_step_once UNIQUE (hold_id, step, line),
    CONSTRAINT entries_known_way CHECK (
        (movement, from_account, to_account) IN (
            ('held', 'issuance', 'pending'),
            ('posted', 'pending', 'available'),
            ('voided', 'pending', 'issuance'),
            ('reversed', 'available', 'issuance'),
            ('reversed', 'written_off', 'issuance'),
            ('held', 'available', 'reserved'),
            ('posted', 'reserved', 'redeemed'),
            ('voided', 'reserved', 'available')
        )
    )
);

-- What a rider was promised on one day for one kind: the caps ask here instead of adding up holds.
CREATE TABLE earnings (
    rider_id uuid NOT NULL,
    earned_on date NOT NULL,
    kind text NOT NULL,
    points bigint NOT NULL CHECK (points >= 0),
    reports integer NOT NULL CHECK (reports >= 0),
    PRIMARY KEY (rider_id, earned_on, kind)
) WITH (fillfactor = 70);

-- The programme's rules from an instant on; a new rule is a new row, so that history stays explainable.
CREATE TABLE rules (
    version bigint PRIMARY KEY CHECK (version > 0),
    effective_from timestamptz NOT NULL UNIQUE,
    points_per_day_max integer NOT NULL CHECK (points_per_day_max >= 0),
    kind_reports_per_day_max integer NOT NULL CHECK (kind_reports_per_day_max >= 0),
    co_reporters_max integer NOT NULL CHECK (co_reporters_max >= 0),
    set_by text NOT NULL,
    reason text NOT NULL,
    set_at timestamptz NOT NULL
);

INSERT INTO rules VALUES (1, '2020-01-01T00:00:00Z', 300, 10, 3, 'beegrid', 'delivered with the suite', now());

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON entries, rules FROM %I', app);
    EXECUTE format('REVOKE DELETE, TRUNCATE ON accounts, holds FROM %I', app);
END
$$;

-- migrate:down
-- We only go forward: a ledger isn't dropped to undo a release.
