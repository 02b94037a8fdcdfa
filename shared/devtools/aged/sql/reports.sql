-- Reports $1 to $2 of $3, until $4, by $5 riders: few riders file many. Each eighth thing is reported twice; one report in
-- 2,000 lies outside the map and waits; a case ends within three days, one in thirty as invalid.
INSERT INTO aged.reports
SELECT n, at, aged.id(at, 'report', n), rider.rider_id, rider.company, 'a-' || n, kind.code, kind.level, lng, lat,
       CASE WHEN routed THEN grid.code END, CASE WHEN routed THEN grid.name END, routed,
       CASE WHEN routed THEN aged.id(opened_at, 'case', first) END, (n - first + 1)::int, report_count, opened_at,
       CASE WHEN n = first THEN opened_at ELSE at + interval '2 seconds' END,
       CASE WHEN ended_at <= $4::timestamptz THEN ended_at END,
       CASE WHEN NOT routed THEN NULL
            WHEN ended_at <= $4::timestamptz THEN CASE WHEN aged.chance(first, 5) < 0.033 THEN 'invalid' ELSE 'closed' END
            WHEN aged.chance(first, 5) < 0.5 THEN 'open' ELSE 'claimed' END,
       CASE WHEN n = first THEN kind.points ELSE kind.points * kind.co_percent / 100 END
FROM (
    SELECT n, first, aged.at(n, $3::bigint, $4::timestamptz) AS at, aged.at(first, $3::bigint, $4::timestamptz) + interval '2 seconds' AS opened_at,
           aged.at(first + report_count - 1, $3::bigint, $4::timestamptz)
               + interval '2 hours' + interval '70 hours' * aged.chance(first, 2) AS ended_at,
           report_count, first % 2000 <> 13 AS routed
    FROM (
        SELECT n, n - (n % 8 = 7)::int AS first,
               CASE WHEN n % 8 = 7 OR (n % 8 = 6 AND n + 1 < $3::bigint) THEN 2 ELSE 1 END AS report_count
        FROM generate_series($1::bigint, $2::bigint - 1) AS n
    ) AS numbered
) AS thing
-- a second reporter is always somebody else
JOIN aged.riders rider ON rider.no = CASE
    WHEN n = first THEN 2 * floor($5::int / 2 * power(aged.chance(n, 3), 2))::int
    ELSE 2 * floor($5::int / 2 * power(aged.chance(n, 3), 2))::int + 1 END
JOIN aged.kinds kind ON kind.no = floor((SELECT count(*) FROM aged.kinds) * power(aged.chance(first, 4), 2))::int
JOIN LATERAL (
    SELECT code, name, lng + (aged.chance(first, 7) - 0.5) / 5000 AS lng, lat + (aged.chance(first, 8) - 0.5) / 5000 AS lat
    FROM aged.grids WHERE no = floor((SELECT count(*) FROM aged.grids) * aged.chance(first, 6))::int
) grid ON true
ORDER BY n;

INSERT INTO aged.movements (n, source, hold_id, rider_id, case_id, company, movement, amount, reason, at)
SELECT n, 'report', report_id, rider_id, case_id, company, movement, amount, reason, at
FROM (
    SELECT n, report_id, rider_id, case_id, company, amount, joined_at + interval '1 second' AS at,
           CASE WHEN amount > 0 THEN 'held' ELSE 'refused' END AS movement,
           CASE WHEN amount = 0 THEN 'no_points' END AS reason
    FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed
    UNION ALL
    SELECT n, report_id, rider_id, case_id, company, amount, ended_at + interval '1 second',
           CASE state WHEN 'closed' THEN 'posted' ELSE 'voided' END,
           CASE state WHEN 'invalid' THEN 'case_invalid' END
    FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND routed AND amount > 0 AND ended_at IS NOT NULL
) AS moved;
