-- What there is one of a rider, a company, an offer. $1 is until when.
INSERT INTO riders.companies (company_id, code, name, active, version, created_at, changed_at)
SELECT company_id, code, '速达 ' || no, true, 2, $1::timestamptz - interval '1100 days', $1::timestamptz - interval '1100 days' FROM aged.companies;

INSERT INTO riders.company_keys (key_id, company_id, sealed, active, created_at)
SELECT key_id, company_id, sealed, true, $1::timestamptz - interval '1100 days' FROM aged.companies;

INSERT INTO riders.riders (rider_id, company, external_id, kind, consent_at, locale, active, version, created_at, changed_at)
SELECT rider_id, company, external_id, 'courier', made_at, 'zh', true, 1, made_at, made_at FROM aged.riders;

INSERT INTO riders.rider_names (rider_id, name) SELECT rider_id, '骑手' || no FROM aged.riders;

INSERT INTO intake.known_companies (code, active, keys, version)
SELECT code, true, jsonb_build_array(jsonb_build_object('key_id', key_id, 'sealed', sealed)), 2
FROM aged.companies;

INSERT INTO notifications.known_companies (code, active, keys, version)
SELECT code, true, jsonb_build_array(jsonb_build_object('key_id', key_id, 'sealed', sealed)), 2
FROM aged.companies;

INSERT INTO tracking.known_companies (code, active, keys, version)
SELECT code, true, jsonb_build_array(jsonb_build_object('key_id', key_id, 'sealed', sealed)), 2
FROM aged.companies;

INSERT INTO intake.known_riders (rider_id, company, number, locale, consent, active, version)
SELECT rider_id, company, external_id, 'zh', true, true, 1 FROM aged.riders;

INSERT INTO notifications.known_riders (rider_id, company, number, locale, consent, active, version)
SELECT rider_id, company, NULL, 'zh', true, true, 1 FROM aged.riders;

INSERT INTO points.known_riders (rider_id, company, number, locale, consent, active, version)
SELECT rider_id, company, NULL, 'zh', true, true, 1 FROM aged.riders;

INSERT INTO points.accounts (rider_id, version, pending, available, reserved)
SELECT r.rider_id, coalesce(m.version, 0), coalesce(m.pending, 0), coalesce(m.available, 0), 0
FROM aged.riders r LEFT JOIN (
    SELECT rider_id, max(version) AS version,
           sum(CASE WHEN source <> 'report' OR movement = 'refused' THEN 0 WHEN movement = 'held' THEN amount
                    ELSE -amount END) AS pending,
           sum(CASE WHEN source = 'report' AND movement = 'posted' THEN amount
                    WHEN source = 'redemption' AND movement = 'held' THEN -amount
                    WHEN source = 'redemption' AND movement = 'voided' THEN amount ELSE 0 END) AS available
    FROM aged.ordered GROUP BY rider_id
) m USING (rider_id);

INSERT INTO points.ledger_checkpoints (rider_id, version, pending, available, reserved)
SELECT rider_id, version, pending, available, reserved FROM points.accounts ON CONFLICT DO NOTHING;

INSERT INTO rewards.merchants (id, version, name, address, active, created_at)
SELECT aged.id($1::timestamptz - interval '1000 days', 'merchant', k), 1, '驿站 ' || k, '演示路 ' || k || ' 号', true,
       $1::timestamptz - interval '1000 days' FROM generate_series(1, 20) AS k;

INSERT INTO rewards.offers (id, version, merchant_id, name, price, stock, free, held, sold, valid_from, valid_until,
                            voucher_minutes, created_at)
SELECT aged.id($1::timestamptz - interval '1000 days', 'offer', k), 1, aged.id($1::timestamptz - interval '1000 days', 'merchant', k), '热饮', 30,
       100000 + coalesce(sold, 0), 100000, 0, coalesce(sold, 0), $1::timestamptz - interval '1000 days', $1::timestamptz + interval '900 days',
       1440, $1::timestamptz - interval '1000 days'
FROM generate_series(1, 20) AS k
LEFT JOIN (SELECT aged.shop(n) AS k, count(*) FILTER (WHERE used)::int AS sold FROM aged.redemptions GROUP BY 1) s USING (k);

INSERT INTO rewards.redemptions (id, version, rider_id, offer_id, merchant_id, offer_name, price, state, reason,
                                 requested_on, requested_at, deadline_at, issued_at, ended_at, code_hash)
SELECT redemption_id, 3, rider_id, aged.id($1::timestamptz - interval '1000 days', 'offer', aged.shop(n)),
       aged.id($1::timestamptz - interval '1000 days', 'merchant', aged.shop(n)), '热饮', 30,
       CASE WHEN used THEN 'used' ELSE 'expired' END, CASE WHEN NOT used THEN 'not_used_in_time' END,
       requested_at::date, requested_at, requested_at + interval '20 hours', requested_at + interval '2 seconds',
       requested_at + interval '20 hours', decode(md5('code' || n), 'hex')
FROM aged.redemptions ORDER BY n;
