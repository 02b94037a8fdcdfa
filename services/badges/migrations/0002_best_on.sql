-- Why: a claw-back can break the longest streak, and only its days say whether it has.
-- migrate:up

ALTER TABLE standings ADD COLUMN best_on date;
COMMENT ON COLUMN standings.best_on IS 'the last day of the longest streak; null: not known, it is counted from the deeds that are kept';

-- migrate:down
-- Forward only: a later migration corrects.
