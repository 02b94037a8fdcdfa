-- Why: a gift that any station of the city gives. A voucher holds a piece of the offer; which station's, says its use.
-- migrate:up

ALTER TABLE offers ADD COLUMN citywide boolean NOT NULL DEFAULT false;

-- Of an offer for the whole city: sum(there) = free + held and sum(sold) = sold, so whoever holds a voucher finds a piece.
CREATE TABLE station_stock (
    offer_id uuid NOT NULL REFERENCES offers,
    merchant_id uuid NOT NULL REFERENCES merchants,
    version bigint NOT NULL CHECK (version > 0),
    stock integer NOT NULL CHECK (stock >= 0),
    there integer NOT NULL CHECK (there >= 0),
    sold integer NOT NULL CHECK (sold >= 0),
    PRIMARY KEY (offer_id, merchant_id),
    CONSTRAINT station_stock_adds_up CHECK (there + sold = stock)
) WITH (fillfactor = 50);
CREATE INDEX station_stock_merchant ON station_stock (merchant_id);

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
    SELECT coalesce(sum(s.there), 0), coalesce(sum(s.sold), 0) FROM station_stock s WHERE s.offer_id = o.id);

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON station_stock FROM %1$I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
