-- Why: riders sign up for activities with a limited number of places; the tables see to it that none is given twice.
-- migrate:up

-- What a city makes activities from: data, changed by its operators.
CREATE TABLE templates (
    code text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9-]{0,31}$'),
    version bigint NOT NULL CHECK (version > 0),
    title_zh text NOT NULL,
    title_en text NOT NULL,
    words_zh text NOT NULL,
    words_en text NOT NULL,
    begins_minute smallint NOT NULL CHECK (begins_minute BETWEEN 0 AND 1439),
    minutes smallint NOT NULL CHECK (minutes BETWEEN 15 AND 1440),
    places integer NOT NULL CHECK (places BETWEEN 1 AND 100000),
    way text NOT NULL CHECK (way IN ('queue', 'lot')),
    -- "code|Chinese|English" each
    teams text[] NOT NULL,
    set_by text NOT NULL
);
INSERT INTO templates VALUES
    ('service-week', 1, '小哥服务公益周', 'Service week for riders',
     '十支服务队在驿站为小哥服务：法律、健康、理发、维修、技能等，13:00 到 15:00。',
     'Ten service teams at the station: law, health, haircut, repair, skills and more, from 13:00 to 15:00.',
     780, 120, 100, 'queue',
     ARRAY['law|法律咨询|Legal advice', 'health|健康义诊|Health check', 'haircut|理发|Haircut',
           'repair|车辆维修|Vehicle repair', 'skills|技能培训|Skills', 'psychology|心理疏导|Counselling',
           'insurance|社保咨询|Social insurance', 'phone|手机维修|Phone repair', 'tailor|缝补衣物|Sewing',
           'safety|交通安全|Traffic safety'], 'beegrid'),
    ('birthday', 1, '小哥集体生日会', 'Birthday together', '本月过生日的小哥一起吃蛋糕。', 'Cake for all whose birthday is this month.',
     840, 90, 30, 'queue', '{}', 'beegrid'),
    ('match', 1, '小哥团体赛', 'Team match', '红蓝两队友谊赛，报名时选队。', 'A friendly match of two teams; choose one when you sign up.',
     1140, 120, 24, 'lot', ARRAY['red|红队|Red', 'blue|蓝队|Blue'], 'beegrid');

-- The row is the lock of its places: whoever signs up, cancels or checks in locks it first, several in the order of ids.
-- The numbers follow the sign-ups by a trigger; no statement writes them.
CREATE TABLE activities (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    said bigint NOT NULL DEFAULT 0 CHECK (said >= 0),
    unsaid boolean NOT NULL DEFAULT true,
    series_id uuid,
    template text,
    title_zh text NOT NULL,
    title_en text NOT NULL,
    words_zh text NOT NULL,
    words_en text NOT NULL,
    area_code text NOT NULL,
    address text NOT NULL,
    station_id text,
    organiser text NOT NULL,
    published_by text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    signup_until timestamptz NOT NULL,
    places integer NOT NULL CHECK (places BETWEEN 1 AND 100000),
    way text NOT NULL CHECK (way IN ('queue', 'lot')),
    companies text[] NOT NULL,
    areas text[] NOT NULL,
    seed_hash text CHECK (seed_hash ~ '^[0-9a-f]{64}$'),
    drawn_at timestamptz,
    state text NOT NULL CHECK (state IN ('open', 'called_off', 'over')),
    reason text,
    published_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    signups integer NOT NULL DEFAULT 0,
    confirmed integer NOT NULL DEFAULT 0 CHECK (confirmed >= 0),
    waiting integer NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    wished integer NOT NULL DEFAULT 0 CHECK (wished >= 0),
    cancelled integer NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    attended integer NOT NULL DEFAULT 0 CHECK (attended >= 0),
    no_shows integer NOT NULL DEFAULT 0 CHECK (no_shows >= 0),
    CONSTRAINT activities_never_oversold CHECK (confirmed <= places),
    CONSTRAINT activities_add_up CHECK (confirmed + waiting + wished + cancelled = signups),
    CHECK (attended + no_shows <= confirmed),
    CHECK (starts_at < ends_at AND signup_until <= starts_at),
    CHECK ((way = 'lot') = (seed_hash IS NOT NULL)),
    CHECK ((state = 'called_off') = (reason IS NOT NULL))
) WITH (fillfactor = 50);
CREATE INDEX activities_unsaid ON activities (id) WHERE unsaid;
CREATE INDEX activities_coming ON activities (starts_at, id) WHERE state = 'open';
CREATE INDEX activities_ending ON activities (ends_at) WHERE state = 'open';
CREATE INDEX activities_to_draw ON activities (signup_until) WHERE state = 'open' AND way = 'lot' AND drawn_at IS NULL;
CREATE INDEX activities_waiting ON activities (id) WHERE state = 'open' AND waiting > 0;
CREATE INDEX activities_ended ON activities (ends_at, id);

-- Of a draw: the seed, which no route reads before it is drawn. Its hash stands in the activity from the beginning.
CREATE TABLE seeds (
    activity_id uuid PRIMARY KEY REFERENCES activities,
    seed text NOT NULL CHECK (seed ~ '^[0-9a-f]{64}$')
);

CREATE TABLE teams (
    activity_id uuid NOT NULL REFERENCES activities,
    code text NOT NULL CHECK (code ~ '^[a-z][a-z0-9-]{0,31}$'),
    zh text NOT NULL,
    en text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    served integer NOT NULL DEFAULT 0 CHECK (served BETWEEN 0 AND 100000),
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (activity_id, code)
);

-- One rider's way to a place. `number`: in the order in which they came, from 1 without gaps; `turn`: the place in the
-- line, which is the number, or what the draw gave.
CREATE TABLE signups (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    activity_id uuid NOT NULL REFERENCES activities,
    rider_id uuid,
    company text NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    turn integer NOT NULL CHECK (turn > 0),
    team text,
    photo_consent boolean NOT NULL,
    state text NOT NULL CHECK (state IN ('wished', 'waiting', 'confirmed', 'cancelled')),
    outcome text CHECK (outcome IN ('attended', 'no_show')),
    signed_up_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    reminded_at timestamptz,
    UNIQUE (activity_id, number),
    FOREIGN KEY (activity_id, team) REFERENCES teams (activity_id, code),
    CHECK (outcome IS NULL OR state = 'confirmed'),
    CHECK (state <> 'confirmed' OR confirmed_at IS NOT NULL)
) WITH (fillfactor = 80);
-- Once a rider: who has cancelled may come again, at the end of the line.
CREATE UNIQUE INDEX signups_once ON signups (activity_id, rider_id) WHERE state <> 'cancelled';
CREATE INDEX signups_rider ON signups (rider_id, id);
CREATE INDEX signups_line ON signups (activity_id, turn) WHERE state = 'waiting';
CREATE INDEX signups_to_remind ON signups (activity_id) WHERE state = 'confirmed' AND reminded_at IS NULL;
CREATE INDEX signups_outcome ON signups (activity_id) WHERE state = 'confirmed' AND outcome IS NULL;

CREATE FUNCTION places_follow() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE activities a SET unsaid = true, signups = a.signups + d.n, confirmed = a.confirmed + d.confirmed,
            waiting = a.waiting + d.waiting, wished = a.wished + d.wished, cancelled = a.cancelled + d.cancelled
        FROM (SELECT activity_id, count(*) AS n, count(*) FILTER (WHERE state = 'confirmed') AS confirmed,
                     count(*) FILTER (WHERE state = 'waiting') AS waiting,
                     count(*) FILTER (WHERE state = 'wished') AS wished,
                     count(*) FILTER (WHERE state = 'cancelled') AS cancelled
              FROM fresh GROUP BY activity_id) AS d
        WHERE a.id = d.activity_id;
    ELSE
        UPDATE activities a SET unsaid = true, confirmed = a.confirmed + d.confirmed, waiting = a.waiting + d.waiting,
            wished = a.wished + d.wished, cancelled = a.cancelled + d.cancelled, attended = a.attended + d.attended,
            no_shows = a.no_shows + d.no_shows
        FROM (SELECT activity_id, coalesce(sum(sign) FILTER (WHERE state = 'confirmed'), 0) AS confirmed,
                     coalesce(sum(sign) FILTER (WHERE state = 'waiting'), 0) AS waiting,
                     coalesce(sum(sign) FILTER (WHERE state = 'wished'), 0) AS wished,
                     coalesce(sum(sign) FILTER (WHERE state = 'cancelled'), 0) AS cancelled,
                     coalesce(sum(sign) FILTER (WHERE outcome = 'attended'), 0) AS attended,
                     coalesce(sum(sign) FILTER (WHERE outcome = 'no_show'), 0) AS no_shows
              FROM (SELECT 1 AS sign, activity_id, state, outcome FROM fresh
                    UNION ALL SELECT -1, activity_id, state, outcome FROM gone) AS both_sides
              GROUP BY activity_id) AS d
        WHERE a.id = d.activity_id AND (d.confirmed, d.waiting, d.wished, d.cancelled, d.attended, d.no_shows)
              <> (0, 0, 0, 0, 0, 0);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER signups_place_insert AFTER INSERT ON signups REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION places_follow();
CREATE TRIGGER signups_place_update AFTER UPDATE ON signups REFERENCING OLD TABLE AS gone NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION places_follow();

-- Once a rider and activity, however often a code is shown.
CREATE TABLE check_ins (
    activity_id uuid NOT NULL REFERENCES activities,
    rider_id uuid NOT NULL,
    signup_id uuid NOT NULL REFERENCES signups,
    deed_id uuid NOT NULL UNIQUE,
    way text NOT NULL CHECK (way IN ('staff', 'site')),
    checked_by text,
    checked_in_at timestamptz NOT NULL,
    PRIMARY KEY (activity_id, rider_id)
);
CREATE INDEX check_ins_rider ON check_ins (rider_id);
CREATE INDEX check_ins_age ON check_ins (checked_in_at);
CREATE INDEX check_ins_signup ON check_ins (signup_id);

CREATE TABLE feedback (
    activity_id uuid NOT NULL REFERENCES activities,
    rider_id uuid NOT NULL,
    id uuid NOT NULL UNIQUE,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    words text NOT NULL,
    given_at timestamptz NOT NULL,
    PRIMARY KEY (activity_id, rider_id)
);
CREATE INDEX feedback_rider ON feedback (rider_id);
CREATE INDEX feedback_age ON feedback (given_at);

-- For publicity. One is shown as long as everybody who is named on it agrees.
CREATE TABLE photos (
    id uuid PRIMARY KEY,
    activity_id uuid NOT NULL REFERENCES activities,
    ref text NOT NULL,
    caption text NOT NULL,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL
);
CREATE INDEX photos_activity ON photos (activity_id, id);
CREATE TABLE photo_people (
    photo_id uuid NOT NULL REFERENCES photos ON DELETE CASCADE,
    signup_id uuid NOT NULL REFERENCES signups,
    PRIMARY KEY (photo_id, signup_id)
);
CREATE INDEX photo_people_signup ON photo_people (signup_id);

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON activities, signups, seeds, teams, templates FROM %I', app);
    EXECUTE format('REVOKE UPDATE ON seeds FROM %I', app);
END
$$;

-- How many there are is asked often, and may not cost more with every year.
SELECT keep_numbers(
    'signups', '{insert,update}', $$SELECT 'signups', state, count(*) FROM %1$s GROUP BY state$$,
    $$SELECT 'outcomes', outcome, count(*) FROM %1$s WHERE outcome IS NOT NULL GROUP BY outcome$$);
-- `entered` comes from the activities' own numbers: that it is the sum of the sign-ups' states is a reconciliation.
SELECT keep_numbers(
    'activities', '{insert,update}', $$SELECT 'activities', state, count(*) FROM %1$s GROUP BY state$$,
    $$SELECT 'entered', '', coalesce(sum(signups), 0) FROM %1$s$$);
CREATE VIEW counted (what, label, n) AS
SELECT 'signups', state, count(*) FROM signups GROUP BY state
UNION ALL SELECT 'outcomes', outcome, count(*) FROM signups WHERE outcome IS NOT NULL GROUP BY outcome
UNION ALL SELECT 'activities', state, count(*) FROM activities GROUP BY state
UNION ALL SELECT 'entered', '', count(*) FROM signups
UNION ALL SELECT 'unexplained', a.id::text, 1 FROM activities a
WHERE (a.signups, a.confirmed, a.waiting, a.wished, a.cancelled, a.attended, a.no_shows) <> (
    SELECT count(*), count(*) FILTER (WHERE s.state = 'confirmed'), count(*) FILTER (WHERE s.state = 'waiting'),
           count(*) FILTER (WHERE s.state = 'wished'), count(*) FILTER (WHERE s.state = 'cancelled'),
           count(*) FILTER (WHERE s.outcome = 'attended'), count(*) FILTER (WHERE s.outcome = 'no_show')
    FROM signups s WHERE s.activity_id = a.id);

-- migrate:down
-- Forward only: a later migration corrects.
