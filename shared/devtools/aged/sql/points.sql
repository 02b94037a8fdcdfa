INSERT INTO points.holds (id, source, rider_id, case_id, kind, amount, state, reason, company, made_at, ended_at, ordinal)
SELECT report_id, 'report', rider_id, case_id, kind, amount,
       CASE WHEN amount = 0 THEN 'refused' WHEN state = 'closed' THEN 'posted' WHEN state = 'invalid' THEN 'voided'
            ELSE 'held' END,
       CASE WHEN amount = 0 THEN 'no_points' WHEN state = 'invalid' THEN 'case_invalid' END, company,
       joined_at + interval '1 second',
       CASE WHEN amount = 0 THEN joined_at WHEN ended_at IS NOT NULL THEN ended_at END + interval '1 second', ordinal
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed ORDER BY n;

INSERT INTO points.cases (case_id, grid_code, grid_version, posted_up_to, voided_up_to)
SELECT case_id, grid_code, 1, CASE state WHEN 'closed' THEN report_count ELSE 0 END, CASE state WHEN 'invalid' THEN report_count ELSE 0 END
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed AND ordinal = 1 ORDER BY n;

INSERT INTO points.entries (rider_id, version, line, entry_id, hold_id, movement, from_account, to_account, amount, made_at)
SELECT rider_id, version, 0, aged.id(at, 'entry' || movement, n), hold_id, movement,
       CASE movement WHEN 'held' THEN 'issuance' ELSE 'pending' END,
       CASE movement WHEN 'held' THEN 'pending' WHEN 'posted' THEN 'available' ELSE 'issuance' END, amount, at
FROM aged.ordered WHERE source = 'report' AND n >= $1::bigint AND n < $2::bigint AND movement <> 'refused' ORDER BY at;

-- Kept for 60 days.
INSERT INTO points.earnings AS e (rider_id, earned_on, kind, grid_code, points, reports)
SELECT rider_id, (joined_at AT TIME ZONE current_setting('beegrid.city_timezone'))::date, kind, grid_code, sum(amount), count(*)
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed AND amount > 0 AND joined_at > $3::timestamptz - interval '59 days'
GROUP BY 1, 2, 3, 4
ON CONFLICT (rider_id, earned_on, kind, grid_code)
DO UPDATE SET points = e.points + excluded.points, reports = e.reports + excluded.reports;

-- Of gifts.
INSERT INTO points.holds (id, source, rider_id, kind, amount, state, reason, made_at, ended_at)
SELECT redemption_id, 'redemption', rider_id, '', 30, CASE WHEN used THEN 'posted' ELSE 'voided' END,
       CASE WHEN NOT used THEN 'not_used_in_time' END, requested_at, requested_at + interval '20 hours'
FROM aged.redemptions;

INSERT INTO points.entries (rider_id, version, line, entry_id, hold_id, movement, from_account, to_account, amount, made_at)
SELECT rider_id, version, 0, aged.id(at, 'entry' || movement, n), hold_id, movement,
       CASE movement WHEN 'held' THEN 'available' ELSE 'reserved' END,
       CASE movement WHEN 'held' THEN 'reserved' WHEN 'posted' THEN 'redeemed' ELSE 'available' END, amount, at
FROM aged.ordered WHERE source = 'redemption' ORDER BY at;
