-- Who reported a case is kept for a year.
INSERT INTO notifications.case_reporters (case_id, company, ordinal, rider_id, report_id, created_at)
SELECT case_id, company, ordinal, rider_id, report_id, joined_at
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed AND joined_at > $3::timestamptz - interval '364 days'
ORDER BY n;

-- Messages are kept for 180 days: one for each movement of points and each step of the rider's case.
INSERT INTO notifications.messages (rider_id, message_id, topic, template, params, created_at, read_at)
SELECT rider_id, aged.id(at, 'notified' || movement, n), 'points', 'report_' || movement,
       jsonb_build_object('amount', amount, 'report_id', hold_id), at, at + interval '1 hour'
FROM aged.ordered WHERE source = 'report' AND n >= $1::bigint AND n < $2::bigint AND movement IN ('held', 'posted', 'voided')
  AND at > $3::timestamptz - interval '179 days' ORDER BY at;

INSERT INTO notifications.messages (rider_id, message_id, topic, template, params, created_at, read_at)
SELECT r.rider_id, aged.id(s.step_at, 'notified' || s.step, r.n), 'cases', 'case_' || s.step,
       jsonb_build_object('case_id', r.case_id), s.step_at, s.step_at + interval '1 hour'
FROM aged.steps($1, $2) s JOIN aged.reports r USING (n)
WHERE s.of_people AND s.step IN ('claimed', 'handled', 'verified', 'closed') AND s.step_at > $3::timestamptz - interval '179 days'
ORDER BY s.step_at;
