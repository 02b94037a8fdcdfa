INSERT INTO tracking.reports (report_id, company, external_id, rider_id, kind, level, lng, lat, seen_at, at)
SELECT report_id, company, external_id, rider_id, kind, level, lng, lat, at, at
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint ORDER BY n;

INSERT INTO tracking.routings (report_id, version, company, outcome, reason, grid_code, grid_name, ambiguous, department, at)
SELECT report_id, 1, company, CASE WHEN routed THEN 'routed' ELSE 'unroutable' END,
       CASE WHEN NOT routed THEN 'outside' END, grid_code, grid_name, false,
       CASE WHEN routed THEN 'city-management' END, at + interval '1 second'
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint ORDER BY n;

INSERT INTO tracking.cases (case_id, version, state, kind, level, grid_code, street, department, lng, lat, report_count,
                            opened_at, due_at, changed_at)
SELECT case_id, report_count - 1 + CASE state WHEN 'closed' THEN 5 WHEN 'open' THEN 1 ELSE 2 END, state, kind, level,
       grid_code, left(grid_code, 9), 'city-management', round(lng::numeric, 4), round(lat::numeric, 4), report_count, opened_at,
       opened_at + interval '3 days', coalesce(ended_at, opened_at + interval '1 minute')
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed AND ordinal = 1 ORDER BY n;

INSERT INTO tracking.case_reports (report_id, case_id, company, version, at)
SELECT report_id, case_id, company, ordinal, joined_at FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed ORDER BY n;

INSERT INTO tracking.case_steps (case_id, version, step, state, actor_name, actor_role, report_id, grid_code, note, at)
SELECT case_id, version, step, step_state, CASE WHEN of_people THEN '网格员' || n % 500 END,
       CASE WHEN of_people THEN 'grid_worker' END, brought, grid_code, '', step_at
FROM aged.steps($1, $2) ORDER BY n, version;

INSERT INTO tracking.movements (report_id, version, company, movement, amount, reason, at)
SELECT hold_id, version, company, movement, CASE movement WHEN 'voided' THEN -amount ELSE amount END, reason, at
FROM aged.ordered WHERE source = 'report' AND n >= $1::bigint AND n < $2::bigint ORDER BY at;
