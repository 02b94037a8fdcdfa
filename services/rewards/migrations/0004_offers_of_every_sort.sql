-- Why: programmes give what has no stock (air for a tyre), so many a day (ten breakfasts), at an hour that is agreed on, and to
-- one company's riders. A day's quota and an hour's places are rows with a check: no code can talk more out of them.
-- migrate:up

ALTER TABLE offers
    ADD COLUMN thanks text NOT NULL DEFAULT '',
    -- false: nothing runs out; each piece is made when it is wanted, so that free + held + sold = stock stays true
    ADD COLUMN counted boolean NOT NULL DEFAULT true,
    ADD COLUMN per_rider_day_max integer,
    -- the days on which the counter takes vouchers: bit 0 is Monday; of hours over midnight, the day on which they begin
    ADD COLUMN weekdays smallint NOT NULL DEFAULT 127,
    ADD COLUMN by_appointment boolean NOT NULL DEFAULT false,
    -- whose riders may have it, and where it is shown; empty: all, everywhere
    ADD COLUMN companies text[] NOT NULL DEFAULT '{}',
    ADD COLUMN areas text[] NOT NULL DEFAULT '{}',
    -- ids of stored photos, or https addresses
    ADD COLUMN photos text[] NOT NULL DEFAULT '{}';

-- Pieces of an offer with a quota a day that were asked for on a day of the city, and did not come to nothing
CREATE TABLE offer_days (
    offer_id uuid NOT NULL REFERENCES offers,
    day date NOT NULL,
    taken integer NOT NULL CHECK (taken >= 0),
    most integer NOT NULL CHECK (most > 0),
    PRIMARY KEY (offer_id, day),
    CONSTRAINT offer_days_quota CHECK (taken <= most)
) WITH (fillfactor = 50);

-- Hours that can be agreed on, each with so many places
CREATE TABLE slots (
    id uuid PRIMARY KEY,
    offer_id uuid NOT NULL REFERENCES offers,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    capacity integer NOT NULL CHECK (capacity > 0),
    taken integer NOT NULL DEFAULT 0 CHECK (taken >= 0),
    CHECK (starts_at < ends_at),
    CONSTRAINT slots_capacity CHECK (taken <= capacity),
    UNIQUE (offer_id, starts_at)
) WITH (fillfactor = 50);

ALTER TABLE redemptions ADD COLUMN slot_id uuid;

INSERT INTO offer_days (offer_id, day, taken, most)
SELECT r.offer_id, r.requested_on, count(*), greatest(o.per_day_max, count(*))
FROM redemptions r JOIN offers o ON o.id = r.offer_id
WHERE o.per_day_max IS NOT NULL AND r.state IN ('requested', 'issued', 'used') GROUP BY r.offer_id, r.requested_on, o.per_day_max;

-- Whatever changes a redemption moves its day's and its hour's number in the same statement. More first: a row that is
-- inserted must keep the checks by itself, so what comes back is an UPDATE.
CREATE FUNCTION take_places() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO offer_days AS d (offer_id, day, taken, most)
    SELECT f.offer_id, f.requested_on, count(*), o.per_day_max FROM fresh f JOIN offers o ON o.id = f.offer_id
    WHERE o.per_day_max IS NOT NULL AND f.state IN ('requested', 'issued', 'used')
    GROUP BY f.offer_id, f.requested_on, o.per_day_max ORDER BY f.offer_id, f.requested_on
    ON CONFLICT (offer_id, day) DO UPDATE SET taken = d.taken + excluded.taken;
    UPDATE slots s SET taken = s.taken + f.n
    FROM (SELECT slot_id, count(*) AS n FROM fresh
          WHERE slot_id IS NOT NULL AND state IN ('requested', 'issued', 'used') GROUP BY slot_id) AS f
    WHERE s.id = f.slot_id;
    RETURN NULL;
END
$$;

-- Of an update only ends matter: nothing that ended begins again
CREATE FUNCTION give_places_back() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE offer_days d SET taken = d.taken - g.n
    FROM (SELECT b.offer_id, b.requested_on, count(*) AS n
          FROM gone b JOIN fresh f ON f.id = b.id
          WHERE b.state IN ('requested', 'issued', 'used') AND f.state NOT IN ('requested', 'issued', 'used')
          GROUP BY b.offer_id, b.requested_on) AS g
    WHERE d.offer_id = g.offer_id AND d.day = g.requested_on;
    UPDATE slots s SET taken = s.taken - g.n
    FROM (SELECT b.slot_id, count(*) AS n
          FROM gone b JOIN fresh f ON f.id = b.id
          WHERE b.slot_id IS NOT NULL
            AND b.state IN ('requested', 'issued', 'used') AND f.state NOT IN ('requested', 'issued', 'used')
          GROUP BY b.slot_id) AS g
    WHERE s.id = g.slot_id;
    RETURN NULL;
END
$$;
-- None on DELETE: what is deleted came to nothing before
CREATE TRIGGER redemptions_places_insert AFTER INSERT ON redemptions
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION take_places();
CREATE TRIGGER redemptions_places_update AFTER UPDATE ON redemptions
    REFERENCING OLD TABLE AS gone NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION give_places_back();

-- `unexplained`: offers, days and hours whose numbers their redemptions don't explain
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
    WHERE r.offer_id = s.offer_id AND r.slot_id = s.id AND r.state IN ('requested', 'issued', 'used'));

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON offer_days, slots FROM %1$I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
