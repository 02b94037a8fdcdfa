-- Why: a month is closed when the ledger has paid for what was taken in it; what a company was given of a month stays as it was;
-- a counter without network keeps its hours too; lists from which nothing was ever heard leave.
-- migrate:up

-- What points have said of a redemption's points: paid to its merchant, given back to its rider. NULL: not yet.
CREATE TABLE postings (
    redemption_id uuid PRIMARY KEY,
    posted integer CHECK (posted > 0),
    returned integer CHECK (returned > 0)
) WITH (fillfactor = 80);

-- Totals of a company's riders as they were first said: what is undone later would tell one rider's use. NULL: of too few.
CREATE TABLE company_months (
    company text NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    riders integer CHECK (riders >= 5),
    vouchers integer,
    points bigint,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (company, month),
    CHECK ((riders IS NULL) = (vouchers IS NULL) AND (riders IS NULL) = (points IS NULL))
);

-- What it refused, the one below refuses too, but for 'closed': nobody counted on its not being there
ALTER TABLE offline_takings
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT offline_takings_outcome_check,
    ADD CONSTRAINT offline_takings_outcome
    CHECK (outcome IN ('sold', 'double', 'late', 'closed', 'ended', 'foreign', 'unknown')) NOT VALID;

-- A list that was settled is what a counter was allowed to take, and stays
CREATE FUNCTION offline_list_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'list % is settled, and stays', OLD.id USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER offline_lists_stay BEFORE DELETE ON offline_lists FOR EACH ROW
    WHEN (OLD.settled_at IS NOT NULL) EXECUTE FUNCTION offline_list_stays();

DO $$
DECLARE
    app CONSTANT text := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('GRANT DELETE ON offline_lists TO %1$I', app);
    EXECUTE format('REVOKE DELETE, TRUNCATE ON postings FROM %1$I', app);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON company_months FROM %1$I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
