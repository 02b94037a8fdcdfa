INSERT INTO intake.reports (report_id, source, external_id, company, rider_id, kind, content_hash, received_at)
SELECT report_id, company, external_id, company, rider_id, kind, decode(md5('content' || n), 'hex'), at
FROM aged.reports WHERE n >= $1::bigint AND n < $2::bigint ORDER BY n;
