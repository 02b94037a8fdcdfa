-- Why: what the house gets from a rider's points is somebody's: a merchant is paid for it, from the ledger alone.
-- migrate:up

-- `merchant:<id>`: with whom the points changed hands. Of a line that touches the house; what was written before has none.
ALTER TABLE entries ADD COLUMN party text;
ALTER TABLE entries ADD CONSTRAINT entries_party CHECK (party ~ '^[a-z]+:[^ ]{1,80}$') NOT VALID;
-- Of the hold, so that what is taken back years later finds it.
ALTER TABLE holds ADD COLUMN party text;

-- Holds that end by the clock if nobody has ended them by then. A row is there until its hour, whatever became of the hold:
-- ending one so stays inside its page.
CREATE TABLE hold_deadlines (
    hold_id uuid PRIMARY KEY,
    rider_id uuid NOT NULL,
    due_at timestamptz NOT NULL
);
CREATE INDEX hold_deadlines_due ON hold_deadlines (due_at);

-- migrate:down
-- Forward only: a later migration corrects.
