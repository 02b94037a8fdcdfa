-- Why: how many cases, reports and steps there are is asked every second, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers('cases', '{insert,update,delete}', $$SELECT 'state', state, count(*) FROM %1$s GROUP BY state$$);
SELECT keep_numbers('case_reports', '{insert,delete}', $$SELECT 'reports', '', count(*) FROM %1$s$$);
SELECT keep_numbers('steps', '{insert,delete}', $$SELECT 'steps', '', count(*) FROM %1$s$$);

CREATE VIEW counted (what, label, n) AS
SELECT 'state', state, count(*) FROM cases GROUP BY state
UNION ALL SELECT 'reports', '', count(*) FROM case_reports
UNION ALL SELECT 'steps', '', count(*) FROM steps;

-- migrate:down
-- Forward only: a later migration corrects.
