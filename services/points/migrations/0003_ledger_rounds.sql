-- Why: a ledger of years can't be added up in one statement; it is checked in shares, all of it each day.
-- migrate:up

-- How far the round under way has come, and what the last whole one found.
CREATE TABLE ledger_rounds (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    part text NOT NULL CHECK (part IN ('accounts', 'account', 'holds')),
    after_id uuid NOT NULL,
    after_version bigint NOT NULL DEFAULT 0,
    pending bigint NOT NULL DEFAULT 0,
    available bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    began_at timestamptz NOT NULL,
    wrong bigint NOT NULL,
    finished_at timestamptz,
    wrong_last bigint NOT NULL,
    accounts bigint NOT NULL,
    accounts_done bigint NOT NULL,
    holds bigint NOT NULL,
    holds_done bigint NOT NULL
);
COMMENT ON COLUMN ledger_rounds.accounts IS 'how many there were when the round began: the round is paced by which part is done';
COMMENT ON COLUMN ledger_rounds.after_version IS 'inside one account of very many entries: up to which its sums are so far';
COMMENT ON COLUMN ledger_rounds.finished_at IS 'when the last whole round ended; wrong_last is what it found';

-- What an account's entries came to up to a version, from the last round that read them all.
CREATE TABLE ledger_checkpoints (
    rider_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    pending bigint NOT NULL,
    available bigint NOT NULL,
    reserved bigint NOT NULL
) WITH (fillfactor = 70);

-- migrate:down
-- Forward only: a later migration corrects.
