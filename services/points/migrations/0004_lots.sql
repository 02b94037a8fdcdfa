-- Why: points may have an end. What is earned on one day is a lot; lots are spent, and expire, oldest first.
-- migrate:up

-- For how many days points are valid that are earned from a day on; 0: for ever. A new rule is a new row. A lot keeps the
-- end that the rule of its day gave it, and no rule begins on a day that has begun, so nobody's points end earlier than
-- they were promised.
CREATE TABLE expiry_rules (
    version bigint PRIMARY KEY CHECK (version > 0),
    effective_from date NOT NULL UNIQUE,
    valid_days integer NOT NULL CHECK (valid_days BETWEEN 0 AND 3650),
    -- where its days begin: a trigger has no settings
    zone text NOT NULL,
    set_by text NOT NULL,
    reason text NOT NULL,
    set_at timestamptz NOT NULL
);
INSERT INTO expiry_rules VALUES (1, '2020-01-01', 0, 'UTC', 'beegrid', 'delivered with the suite', now());

-- What a rider earned on one day. How much of it is left is never written: it follows from what is available and what
-- was earned later, so spending costs nothing here.
CREATE TABLE lots (
    rider_id uuid NOT NULL,
    earned_on date NOT NULL,
    points bigint NOT NULL CHECK (points > 0),
    -- the first day on which they are gone
    expires_on date,
    expired bigint NOT NULL DEFAULT 0 CHECK (expired BETWEEN 0 AND points),
    look_on date,
    PRIMARY KEY (rider_id, earned_on)
) WITH (fillfactor = 80);
COMMENT ON COLUMN lots.expires_on IS 'null: never';
COMMENT ON COLUMN lots.look_on IS 'when to warn next, or to let them expire; null: nothing more is to be done';
CREATE INDEX lots_look_on ON lots (look_on) WHERE look_on IS NOT NULL;

-- As long as no rule has ever set an end there are no lots: then the trigger asks one small table once a statement.
CREATE FUNCTION keep_lots() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    its_zone CONSTANT text := (SELECT zone FROM expiry_rules WHERE valid_days > 0 ORDER BY version DESC LIMIT 1);
BEGIN
    IF its_zone IS NULL THEN
        RETURN NULL;
    END IF;
    -- what is given back is no new lot: it was spent too early, and is what it was
    INSERT INTO lots AS l (rider_id, earned_on, points, expires_on, look_on)
    SELECT e.rider_id, e.earned_on, e.points, e.earned_on + r.valid_days,
           e.earned_on + r.valid_days - CASE WHEN r.valid_days > 30 THEN 30 WHEN r.valid_days > 7 THEN 7 ELSE 0 END
    FROM (
        SELECT rider_id, (made_at AT TIME ZONE its_zone)::date AS earned_on, sum(amount)::bigint AS points
        FROM fresh WHERE to_account = 'available' AND from_account NOT IN ('reserved', 'redeemed')
        GROUP BY 1, 2
    ) e
    LEFT JOIN LATERAL (
        SELECT nullif(valid_days, 0) AS valid_days FROM expiry_rules
        WHERE effective_from <= e.earned_on ORDER BY effective_from DESC LIMIT 1
    ) r ON true
    ORDER BY e.rider_id, e.earned_on
    ON CONFLICT (rider_id, earned_on) DO UPDATE SET points = l.points + excluded.points;
    RETURN NULL;
END
$function$;
CREATE TRIGGER entries_kept_in_lots AFTER INSERT ON entries REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION keep_lots();

-- Two more things that may happen to points, and the house's accounts for them.
-- squawk-ignore ban-drop-constraint
ALTER TABLE entries DROP CONSTRAINT entries_known_way;
ALTER TABLE entries ADD CONSTRAINT entries_known_way CHECK (
    (movement, from_account, to_account) IN (
        ('held', 'issuance', 'pending'),
        ('posted', 'pending', 'available'),
        ('voided', 'pending', 'issuance'),
        ('reversed', 'available', 'issuance'),
        ('reversed', 'written_off', 'issuance'),
        ('held', 'available', 'reserved'),
        ('posted', 'reserved', 'redeemed'),
        ('voided', 'reserved', 'available'),
        ('reversed', 'redeemed', 'available'),
        ('expired', 'available', 'breakage'),
        ('adjusted', 'adjustment', 'available'),
        ('adjusted', 'available', 'adjustment')
    )
) NOT VALID;
-- squawk-ignore ban-drop-constraint
ALTER TABLE holds DROP CONSTRAINT holds_source_check;
ALTER TABLE holds ADD CONSTRAINT holds_source_check
CHECK (source IN ('report', 'redemption', 'expiry', 'adjustment')) NOT VALID;
-- squawk-ignore ban-drop-constraint
ALTER TABLE holds DROP CONSTRAINT holds_state_check;
ALTER TABLE holds ADD CONSTRAINT holds_state_check
CHECK (state IN ('held', 'posted', 'voided', 'reversed', 'refused', 'expired', 'adjusted')) NOT VALID;

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON expiry_rules FROM %I', app);
    EXECUTE format('REVOKE DELETE, TRUNCATE ON lots FROM %I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
