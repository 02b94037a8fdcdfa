-- Why: operators read the applications that wait.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS merchants_waiting ON merchants (id) WHERE review = 'applied';

-- migrate:down
-- Forward only: a later migration corrects.
