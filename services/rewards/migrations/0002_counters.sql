-- Why: how many redemptions are in which state is asked every second, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers(
    'redemptions', '{insert,update}',
    $$SELECT 'redemptions', state, count(*) FROM %1$s GROUP BY state$$,
    $$SELECT 'points', state, sum(price) FROM %1$s GROUP BY state$$);

-- `unexplained`: offers whose stock their redemptions don't explain. Nothing is kept of them, so any is a difference.
CREATE VIEW counted (what, label, n) AS
SELECT 'redemptions', state, count(*) FROM redemptions GROUP BY state
UNION ALL SELECT 'points', state, sum(price)::bigint FROM redemptions GROUP BY state
UNION ALL SELECT 'unexplained', 'offers', count(*)
FROM offers o LEFT JOIN (
    SELECT offer_id, count(*) FILTER (WHERE state IN ('requested', 'issued')) AS held,
           count(*) FILTER (WHERE state = 'used') AS sold
    FROM redemptions GROUP BY offer_id
) s ON s.offer_id = o.id
WHERE (o.held, o.sold) <> (coalesce(s.held, 0), coalesce(s.sold, 0));

-- migrate:down
-- Forward only: a later migration corrects.
