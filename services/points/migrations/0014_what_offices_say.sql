-- Why: a rider reads why an office has refused what waited, and the sweep of lots finds those that are due in its order.
-- migrate:up

-- There is no release yet: nobody waits for these locks.
ALTER TABLE holds ADD COLUMN said text;
COMMENT ON COLUMN holds.said IS 'what an office has said beside the reason, for the rider';
ALTER TABLE budgets ADD COLUMN refuses_by text;
COMMENT ON COLUMN budgets.refuses_by IS 'who has refused; riders read refuses_why alone';

-- In the order in which the sweep takes them, and all that it reads of them.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX lots_due ON lots (look_on, rider_id, earned_on) WHERE look_on IS NOT NULL;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX lots_look_on;

-- migrate:down
-- Forward only: a later migration corrects.
