-- Why: who is erased stays erased: late events, replayed letters and restored backups are held against this list.
-- migrate:up

-- `number`: a hash of the company's number of the rider; nothing here leads back to a person. done_at null: the second
-- pass is still due, which finds what transactions wrote that had begun before the row was there.
CREATE TABLE erased_riders (
    rider_id uuid PRIMARY KEY,
    number text NOT NULL,
    erased_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    next_try_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN erased_riders.next_try_at IS 'of the second pass: later where something of the rider can not be removed';
CREATE INDEX erased_riders_number ON erased_riders (number);
CREATE INDEX erased_riders_open ON erased_riders (next_try_at) WHERE done_at IS NULL;
-- those of the last hour, whom a gauge leaves out
CREATE INDEX erased_riders_erased_at ON erased_riders (erased_at);

-- How many there are, and how many of them are done: shown twice a minute by every service, and the list only grows.
SELECT keep_numbers(
    'erased_riders', '{insert,update,delete}',
    $$SELECT 'erasures', CASE WHEN done_at IS NULL THEN 'open' ELSE 'done' END, count(*) FROM %1$s GROUP BY 2$$);

-- The same from history, for a recount.
CREATE VIEW counted_erasures (what, label, n) AS
SELECT 'erasures', CASE WHEN done_at IS NULL THEN 'open' ELSE 'done' END, count(*) FROM erased_riders GROUP BY 2;

-- migrate:down
-- Forward only: a later migration corrects.
