INSERT INTO routing.routes (report_id, version, outcome, reason, grid_code, alternatives, department, routed_at)
SELECT report_id, 1, CASE WHEN routed THEN 'routed' ELSE 'unroutable' END, CASE WHEN NOT routed THEN 'outside' END,
       grid_code, '{}', CASE WHEN routed THEN 'city-management' END, at + interval '1 second'
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint ORDER BY n;

INSERT INTO routing.unroutable (report_id, reason, waiting_since, report)
SELECT report_id, 'outside', at + interval '1 second', jsonb_build_object(
    'report_id', report_id, 'rider_id', rider_id, 'company', company, 'external_id', external_id, 'by_company', true,
    'kind', kind, 'level', level, 'lng', lng, 'lat', lat, 'accuracy_m', 10, 'text', '看不清路',
    'photos', '[]'::jsonb, 'occurred_at', at, 'received_at', at)
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND NOT routed;
