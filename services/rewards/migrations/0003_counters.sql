-- Why: how many redemptions are in which state is asked every second, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers(
    'redemptions', '{insert,update,delete}',
    $$SELECT 'redemptions', state, count(*) FROM %1$s GROUP BY state$$,
    $$SELECT 'points', state, sum(price) FROM %1$s GROUP BY state$$);

-- Takings are kept numbers too: one for each merchant, day, offer and price. A recount knows them as `taken`.
CREATE OR REPLACE VIEW kept (what, label, n) AS
SELECT what, label, n FROM counters
UNION ALL SELECT 'taken', concat_ws(' ', merchant_id, taken_on, offer_id, price), vouchers FROM takings;

CREATE OR REPLACE FUNCTION correct_number(of_what text, of_label text, more bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    part CONSTANT text[] := string_to_array(of_label, ' ');
BEGIN
    IF of_what = 'taken' THEN
        INSERT INTO takings AS t VALUES (part[1]::uuid, part[2]::date, part[3]::uuid, part[4]::int, more)
        ON CONFLICT (merchant_id, taken_on, offer_id, price) DO UPDATE SET vouchers = t.vouchers + excluded.vouchers;
    ELSE
        INSERT INTO counters AS c (what, label, shard, n) VALUES (of_what, of_label, counter_shard(), more)
        ON CONFLICT (what, label, shard) DO UPDATE SET n = c.n + excluded.n;
    END IF;
END
$$;

-- `unexplained`: offers whose stock their redemptions don't explain. Nothing is kept of them, so any is a difference.
CREATE VIEW counted (what, label, n) AS
SELECT 'redemptions', state, count(*) FROM redemptions GROUP BY state
UNION ALL SELECT 'points', state, sum(price)::bigint FROM redemptions GROUP BY state
UNION ALL
SELECT 'taken', concat_ws(' ', merchant_id, (ended_at AT TIME ZONE 'UTC')::date, offer_id, price), count(*)
FROM redemptions WHERE state = 'used' GROUP BY merchant_id, (ended_at AT TIME ZONE 'UTC')::date, offer_id, price
UNION ALL SELECT 'unexplained', 'offers', count(*)
FROM offers o LEFT JOIN (
    SELECT offer_id, count(*) FILTER (WHERE state IN ('requested', 'issued')) AS held,
           count(*) FILTER (WHERE state = 'used') AS sold
    FROM redemptions GROUP BY offer_id
) s ON s.offer_id = o.id
WHERE (o.held, o.sold) <> (coalesce(s.held, 0), coalesce(s.sold, 0));

-- migrate:down
-- Forward only: a later migration corrects.
