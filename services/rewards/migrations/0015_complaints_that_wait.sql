-- Why: operators read the complaints that wait, of which there are few beside those that are answered.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS complaints_waiting ON complaints (id) WHERE state = 'open';

-- migrate:down
-- Forward only: a later migration corrects.
