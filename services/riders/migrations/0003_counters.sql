-- Why: how many riders and companies there are is asked every second, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers('companies', '{insert,delete}', $$SELECT 'companies', '', count(*) FROM %1$s$$);
SELECT keep_numbers(
    'riders', '{insert,update,delete}',
    $$SELECT 'riders', CASE WHEN active THEN 'active' ELSE 'inactive' END, count(*) FROM %1$s GROUP BY active$$,
    $$SELECT 'versions', '', coalesce(sum(version), 0) FROM %1$s$$);

CREATE VIEW counted (what, label, n) AS
SELECT 'companies', '', count(*) FROM companies
UNION ALL SELECT 'riders', CASE WHEN active THEN 'active' ELSE 'inactive' END, count(*) FROM riders GROUP BY active
UNION ALL SELECT 'versions', '', coalesce(sum(version), 0)::bigint FROM riders;

-- migrate:down
-- Forward only: a later migration corrects.
