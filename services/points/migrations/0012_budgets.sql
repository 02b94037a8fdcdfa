-- Why: a district sets its own points within what the city allows, and nobody promises points that are not there.
-- migrate:up

-- `given` went on to budgets below, `spent` was promised to riders, `waiting` is what riders wait for since there was
-- no room. The nearest area's budget pays, so one row is locked for a promise, and the checks hold whatever the code does.
CREATE TABLE budgets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    area text NOT NULL,
    begins_on date NOT NULL,
    ends_on date NOT NULL CHECK (ends_on > begins_on),
    parent_id bigint REFERENCES budgets CHECK (parent_id < id),
    allocated bigint NOT NULL DEFAULT 0 CHECK (allocated >= 0),
    given bigint NOT NULL DEFAULT 0 CHECK (given >= 0),
    spent bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
    waiting bigint NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    refuses_up_to timestamptz,
    refuses_why text,
    made_at timestamptz NOT NULL,
    CONSTRAINT budgets_never_overspent CHECK (given + spent <= allocated),
    -- One budget an area and day. Ranges alone are known to gist without an extension: the area goes in as one, by hash.
    CONSTRAINT budgets_one_at_a_time EXCLUDE USING gist (
        int8range(hashtext(area)::bigint, hashtext(area)::bigint, '[]') WITH &&,
        daterange(begins_on, ends_on) WITH &&
    )
) WITH (fillfactor = 50);
COMMENT ON COLUMN budgets.parent_id IS 'the budget above, which has the smaller id: both are locked in that order';
COMMENT ON COLUMN budgets.refuses_up_to IS 'what waits and was promised up to then is being refused';

CREATE TABLE allocations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    budget_id bigint NOT NULL REFERENCES budgets,
    points bigint NOT NULL CHECK (points <> 0),
    made_by text NOT NULL,
    reason text NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX allocations_of ON allocations (budget_id, id);

ALTER TABLE holds ADD COLUMN budget_id bigint;
ALTER TABLE holds ADD COLUMN waits boolean NOT NULL DEFAULT false;
-- There is no release yet: nobody waits for these locks.
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE holds ADD CONSTRAINT holds_waits_in_a_budget CHECK (NOT waits OR (budget_id IS NOT NULL AND state = 'held'));
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX holds_waiting ON holds (budget_id, made_at, id) WHERE waits;

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON budgets FROM %I', app);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON allocations FROM %I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
