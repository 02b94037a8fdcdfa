-- Riders with enough points have taken gifts, one in five of which was not used in time. $1 is until when.
INSERT INTO aged.redemptions
SELECT row_number() OVER (ORDER BY rider_id, k), aged.id(at, 'redemption' || rider_id, k), rider_id, at, k % 5 <> 0
FROM (
    SELECT rider_id, k, $1::timestamptz - interval '28 days' * aged.chance(hashtext(rider_id::text), k) - interval '1 day' AS at
    FROM (SELECT rider_id, sum(amount) AS points FROM aged.movements WHERE movement = 'posted' GROUP BY rider_id) earned
    CROSS JOIN LATERAL generate_series(1, least(5, points / 60)) AS k
) AS wishes;

INSERT INTO aged.movements (n, source, hold_id, rider_id, movement, amount, at)
SELECT n, 'redemption', redemption_id, rider_id, 'held', 30, requested_at + interval '1 second' FROM aged.redemptions
UNION ALL
SELECT n, 'redemption', redemption_id, rider_id, CASE WHEN used THEN 'posted' ELSE 'voided' END, 30,
       requested_at + interval '20 hours' FROM aged.redemptions;

-- Gifts come last in an account's order: what is spent was earned before.
CREATE UNLOGGED TABLE aged.ordered AS
SELECT m.n, source, hold_id, rider_id, case_id, company, movement, amount, reason, at,
       row_number() OVER (PARTITION BY rider_id ORDER BY source DESC, at, n, movement) AS version
FROM aged.movements m;

CREATE INDEX ordered_n ON aged.ordered (source, n);

ANALYZE aged.ordered, aged.redemptions;
