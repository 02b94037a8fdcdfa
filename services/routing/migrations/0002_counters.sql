-- Why: how many reports went where is asked every second, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers(
    'routes', '{insert,update,delete}', $$SELECT 'outcome', outcome, count(*) FROM %1$s GROUP BY outcome$$);

CREATE VIEW counted (what, label, n) AS
SELECT 'outcome', outcome, count(*) FROM routes GROUP BY outcome;

-- migrate:down
-- Forward only: a later migration corrects.
