-- Why: a report also waits where the rider is known and a change of theirs is on its way: consent, or active once more.
-- migrate:up

ALTER TABLE waiting_reports ADD COLUMN code text NOT NULL DEFAULT 'unknown_rider';
COMMENT ON COLUMN waiting_reports.code IS 'what the rider lacks: the refusal, if the time ends before that changes';

-- migrate:down
-- Forward only: a later migration corrects.
