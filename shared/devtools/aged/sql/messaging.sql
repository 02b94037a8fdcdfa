-- Of reports $1 to $2: ids of events that took effect in the last 22 days, in the schema that is put for {schema}, about
-- {per_report} a report; and a dead letter in 2,000 that an operator has resolved in the last month.
INSERT INTO {schema}.inbox (event_id, seen_at)
SELECT aged.id(at, 'event {schema}' || k, n), at FROM aged.reports, generate_series(1, {per_report}) AS k
WHERE n >= $1::bigint AND n < $2::bigint AND at > $3::timestamptz - interval '21 days' ORDER BY n;

INSERT INTO {schema}.dead_letters (topic, partition, record_offset, key, value, headers, event_id, status, code, detail,
                                   attempts, created_at, resolved_at, resolved_by, resolution, record_ms)
SELECT 'aged.report.v1', 0, n, decode(md5(n::text), 'hex'), convert_to(repeat('x', 600), 'UTF8'), '',
       aged.id(at, 'letter {schema}', n), 'discarded', 'invalid', 'a field is missing', 1, at, at + interval '1 hour',
       'operator', 'sent badly', (extract(epoch FROM at) * 1000)::bigint
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint AND n % 2000 = 7 AND at > $3::timestamptz - interval '29 days';
