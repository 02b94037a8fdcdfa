-- Points are value: every movement is a new row that nobody can change, and each balance is the sum of its rows.

-- migrate:up
CREATE TABLE accounts (
    rider_id uuid PRIMARY KEY,
    -- counts the rider's movements and refusals; the published events carry it, so it goes 1..n without gaps
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    pending bigint NOT NULL DEFAULT 0 CHECK (pending >= 0),
    available bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0)
) WITH (fillfactor = 70);

-- The id is that of the report or redemption the hold is for: a second hold for the same thing can't exist.
-- No column that an ending changes is indexed, so that it stays inside its page. No foreign keys inside the ledger: each
-- costs a look-up and a row lock per line on the busiest path; the reconciliation finds a line without its account.
CREATE TABLE holds (
    id uuid PRIMARY KEY,
    source text NOT NULL CHECK (source IN ('report', 'redemption')),
    rider_id uuid NOT NULL,
    case_id uuid,
    kind text NOT NULL DEFAULT '',
    amount bigint NOT NULL CHECK (amount >= 0),
    state text NOT NULL CHECK (state IN ('held', 'posted', 'voided', 'reversed', 'refused')),
    reason text,
    -- of a report: whose rider has filed it
    company text,
    made_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- of a report: its rider's place among the case's reporters
    ordinal integer CHECK (ordinal >= 1),
    CHECK ((source = 'report') = (case_id IS NOT NULL)),
    CHECK ((state = 'held') = (ended_at IS NULL))
) WITH (fillfactor = 80);

-- What a case's verdict has to settle. Of 100,000 reports of one thing only those few that may earn stand in it.
CREATE INDEX holds_to_settle ON holds (case_id, ordinal) WHERE amount > 0 AND source = 'report';

-- What was decided of a case: up to which of its reporters points are posted, and up to which they are voided. A report
-- that is heard later finds it here; the row is the lock between the two. And where the case is, which decides whose
-- office takes points back: a case may move at any time, so no hold keeps a grid of its own.
CREATE TABLE cases (
    case_id uuid PRIMARY KEY,
    grid_code text NOT NULL,
    grid_version bigint NOT NULL CHECK (grid_version >= 1),
    posted_up_to integer NOT NULL DEFAULT 0,
    voided_up_to integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
COMMENT ON COLUMN cases.grid_version IS 'the step of the case that was last heard of its grid: an earlier one changes nothing';

-- Verdicts on crowded cases, carried out some holds at a time; a row is gone when all are settled.
CREATE TABLE settlements (
    case_id uuid NOT NULL,
    case_version bigint NOT NULL,
    act text NOT NULL CHECK (act IN ('post', 'void')),
    up_to integer NOT NULL,
    settled_up_to integer NOT NULL DEFAULT 0,
    grid_code text NOT NULL,
    changed_at timestamptz NOT NULL,
    traceparent text,
    queued_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, case_version)
);
COMMENT ON COLUMN settlements.settled_up_to IS 'ordinals up to this one are settled: where the next transaction goes on';

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
            ('voided', 'reserved', 'available'),
            ('reversed', 'redeemed', 'available')
        )
    )
);

-- Whose accounts moved lately? Entries lie in the order of their time, so a few ranges of pages answer.
CREATE INDEX entries_made_at ON entries USING brin (made_at) WITH (autosummarize = on, pages_per_range = 64);

-- What a rider was promised on one day for one kind: the caps ask here instead of adding up holds.
CREATE TABLE earnings (
    rider_id uuid NOT NULL,
    earned_on date NOT NULL,
    kind text NOT NULL,
    points bigint NOT NULL CHECK (points >= 0),
    reports integer NOT NULL CHECK (reports >= 0),
    PRIMARY KEY (rider_id, earned_on, kind)
) WITH (fillfactor = 70);
CREATE INDEX earnings_day ON earnings (earned_on);

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
    EXECUTE format('REVOKE DELETE, TRUNCATE ON accounts, holds, cases FROM %I', app);
END
$$;

-- migrate:down
-- We only go forward: a ledger isn't dropped to undo a release.
