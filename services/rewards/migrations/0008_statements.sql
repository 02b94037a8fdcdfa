-- Why: a merchant is paid by the month. What a closed month says never changes: what is undone later is a return of a later month.
-- migrate:up

CREATE TABLE statements (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    merchant_id uuid NOT NULL REFERENCES merchants,
    -- the first day; the month is the city's, from `since` to `until`
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    used integer NOT NULL CHECK (used >= 0),
    returned integer NOT NULL CHECK (returned >= 0),
    doubles integer NOT NULL CHECK (doubles >= 0),
    points bigint NOT NULL,
    -- SHA-256 of all that it says, in hexadecimal
    digest text NOT NULL,
    state text NOT NULL CHECK (state IN ('closed', 'disputed', 'paid')),
    closed_at timestamptz NOT NULL,
    closed_by text NOT NULL,
    dispute text,
    disputed_at timestamptz,
    disputed_by text,
    answer text,
    answered_by text,
    payment text,
    paid_at timestamptz,
    paid_by text,
    UNIQUE (merchant_id, month),
    CHECK (since < until),
    CHECK ((state = 'paid') = (paid_at IS NOT NULL AND paid_by IS NOT NULL AND payment IS NOT NULL)),
    CHECK (state <> 'disputed' OR dispute IS NOT NULL)
);

-- Vouchers of one offer at one price: taken in the month, given back in it, and those that were used before elsewhere
CREATE TABLE statement_lines (
    statement_id uuid NOT NULL REFERENCES statements,
    offer_id uuid NOT NULL,
    offer_name text NOT NULL,
    price integer NOT NULL,
    used integer NOT NULL CHECK (used >= 0),
    returned integer NOT NULL CHECK (returned >= 0),
    doubles integer NOT NULL CHECK (doubles >= 0),
    points bigint NOT NULL,
    PRIMARY KEY (statement_id, offer_id, price),
    CHECK (points = (used - returned + doubles)::bigint * price)
);

CREATE OR REPLACE VIEW counted (what, label, n) AS
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
WHERE (o.held, o.sold) <> (coalesce(s.held, 0), coalesce(s.sold, 0))
UNION ALL SELECT 'unexplained', 'days', count(*)
FROM offer_days d WHERE d.taken <> (
    SELECT count(*) FROM redemptions r
    WHERE r.offer_id = d.offer_id AND r.requested_on = d.day AND r.state IN ('requested', 'issued', 'used'))
UNION ALL SELECT 'unexplained', 'slots', count(*)
FROM slots s WHERE s.taken <> (
    SELECT count(*) FROM redemptions r
    WHERE r.offer_id = s.offer_id AND r.slot_id = s.id AND r.state IN ('requested', 'issued', 'used'))
UNION ALL SELECT 'unexplained', 'stations', count(*)
FROM offers o WHERE o.citywide AND (o.free + o.held, o.sold) <> (
    SELECT coalesce(sum(s.there), 0), coalesce(sum(s.sold), 0) FROM station_stock s WHERE s.offer_id = o.id)
UNION ALL SELECT 'unexplained', 'statements', count(*)
FROM statements s
WHERE s.points <> (SELECT coalesce(sum(l.points), 0) FROM statement_lines l WHERE l.statement_id = s.id)
   OR s.points <> (
        SELECT coalesce(sum(r.price), 0) FROM redemptions r
        WHERE r.merchant_id = s.merchant_id AND r.state IN ('used', 'undone') AND r.ended_at >= s.since AND r.ended_at < s.until)
      - (SELECT coalesce(sum(r.price), 0) FROM redemptions r
         WHERE r.merchant_id = s.merchant_id AND r.state = 'undone' AND r.undone_at >= s.since AND r.undone_at < s.until)
      + (SELECT coalesce(sum(t.points), 0) FROM offline_takings t
         WHERE t.merchant_id = s.merchant_id AND t.borne_by = 'programme' AND t.heard_at >= s.since AND t.heard_at < s.until);

DO $$
DECLARE
    app CONSTANT text := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON statements, statement_lines FROM %1$I', app);
    EXECUTE format('GRANT UPDATE (version, state, dispute, disputed_at, disputed_by, answer, answered_by, payment, paid_at, paid_by)'
                   ' ON statements TO %1$I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
