-- Why: how many reports, riders and photos there are is asked every second, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers('reports', '{insert,delete}', $$SELECT 'accepted', '', count(*) FROM %1$s$$);
SELECT keep_numbers('known_riders', '{insert,delete}', $$SELECT 'riders', '', count(*) FROM %1$s$$);
SELECT keep_numbers(
    'photos', '{insert,update,delete}', $$SELECT 'photos', '', count(*) FROM %1$s WHERE state = 'stored'$$);

CREATE VIEW counted (what, label, n) AS
SELECT 'accepted', '', count(*) FROM reports
UNION ALL SELECT 'riders', '', count(*) FROM known_riders
UNION ALL SELECT 'photos', '', count(*) FROM photos WHERE state = 'stored';

-- migrate:down
-- Forward only: a later migration corrects.
