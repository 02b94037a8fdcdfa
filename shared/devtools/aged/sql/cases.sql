-- `cell` as services/cases/domain.py calculates it.
INSERT INTO cases.cases (case_id, version, state, live, kind, level, grid_code, alternatives, department, lng, lat, cell,
                         seen_at, opened_at, due_at, changed_at, claimed_by_id, claimed_by_name, claimed_by_role, handled_by,
                         report_count)
SELECT case_id, report_count - 1 + CASE state WHEN 'closed' THEN 5 WHEN 'open' THEN 1 ELSE 2 END, state, ended_at IS NULL,
       kind, level, grid_code, '{}', 'city-management', lng, lat,
       (floor(lat / 0.002)::bigint + 524288) * 1048576 + floor(lng / 0.002)::bigint + 524288,
       at, opened_at, opened_at + interval '3 days', coalesce(ended_at, opened_at + interval '1 minute'),
       CASE WHEN state IN ('closed', 'claimed') THEN 'w' || n % 500 END,
       CASE WHEN state IN ('closed', 'claimed') THEN '网格员' || n % 500 END,
       CASE WHEN state IN ('closed', 'claimed') THEN 'grid_worker' END,
       CASE WHEN state = 'closed' THEN 'w' || n % 500 END, report_count
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed AND ordinal = 1 ORDER BY n;

INSERT INTO cases.case_reports (report_id, case_id, version, ordinal, rider_id, company, text, photos)
SELECT report_id, case_id, ordinal, ordinal, rider_id, company, '井盖破损，影响骑行，请尽快处理', '{}'
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed ORDER BY n;

INSERT INTO cases.steps (case_id, version, step, state, actor_id, actor_name, actor_role, report_id, note, at)
SELECT case_id, version, step, step_state, CASE WHEN of_people THEN 'w' || n % 500 END,
       CASE WHEN of_people THEN '网格员' || n % 500 END, CASE WHEN of_people THEN 'grid_worker' END, brought, '', step_at
FROM aged.steps($1, $2) ORDER BY n, version;
