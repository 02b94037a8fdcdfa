-- Why: what riders have earned is seen as levels, streaks, badges and places on boards, each made from credited reports.
-- migrate:up

-- A rider's totals of credited reports; the row is the lock.
CREATE TABLE standings (
    rider_id uuid PRIMARY KEY,
    points bigint NOT NULL DEFAULT 0,
    reports integer NOT NULL DEFAULT 0,
    streak integer NOT NULL DEFAULT 0 CHECK (streak >= 0),
    best_streak integer NOT NULL DEFAULT 0 CHECK (best_streak >= streak),
    streak_on date
) WITH (fillfactor = 70);
COMMENT ON COLUMN standings.streak_on IS 'the last day of the streak: it goes on the day after';

-- Who doesn't want to be on boards. A rider without a row is there under a handle, never by name.
CREATE TABLE hidden (rider_id uuid PRIMARY KEY, since timestamptz NOT NULL);

-- What points have said of one report, in any order. It counts while it is posted and not reversed.
CREATE TABLE deeds (
    source_id uuid PRIMARY KEY,
    rider_id uuid NOT NULL,
    reported_on date,
    credited_on date,
    points bigint NOT NULL DEFAULT 0,
    company text NOT NULL DEFAULT '',
    grid_code text NOT NULL DEFAULT '',
    posted boolean NOT NULL DEFAULT false,
    reversed boolean NOT NULL DEFAULT false,
    heard_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX deeds_rider ON deeds (rider_id, reported_on) WHERE posted AND NOT reversed;
CREATE INDEX deeds_heard ON deeds (heard_at);

-- What a rider was credited on one day in one grid: boards add these up.
CREATE TABLE days (
    credited_on date NOT NULL,
    rider_id uuid NOT NULL,
    grid_code text NOT NULL,
    company text NOT NULL,
    points bigint NOT NULL,
    reports integer NOT NULL,
    PRIMARY KEY (credited_on, rider_id, grid_code, company)
) WITH (fillfactor = 80);
CREATE INDEX days_rider ON days (rider_id);

-- Thresholds, from an instant on; new ones are new rows. `level`: the highest that a rider's points reach is theirs.
CREATE TABLE rules (
    code text NOT NULL CHECK (code ~ '^[a-z0-9][a-z0-9-]{0,31}$'),
    version bigint NOT NULL CHECK (version > 0),
    effective_from timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('badge', 'level')),
    zh text NOT NULL,
    en text NOT NULL,
    measure text NOT NULL CHECK (measure IN ('points', 'reports', 'streak')),
    least integer NOT NULL CHECK (least >= 0),
    active boolean NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (code, version),
    UNIQUE (code, effective_from)
);
INSERT INTO rules VALUES
    ('level-1', 1, '2020-01-01T00:00:00Z', 'level', '新蜂', 'New bee', 'points', 0, true, 'beegrid', now()),
    ('level-2', 1, '2020-01-01T00:00:00Z', 'level', '勤蜂', 'Busy bee', 'points', 200, true, 'beegrid', now()),
    ('level-3', 1, '2020-01-01T00:00:00Z', 'level', '哨蜂', 'Scout bee', 'points', 1000, true, 'beegrid', now()),
    ('level-4', 1, '2020-01-01T00:00:00Z', 'level', '金蜂', 'Golden bee', 'points', 5000, true, 'beegrid', now()),
    ('first-report', 1, '2020-01-01T00:00:00Z', 'badge', '第一哨', 'First report', 'reports', 1, true, 'beegrid', now()),
    ('reports-10', 1, '2020-01-01T00:00:00Z', 'badge', '十次守望', 'Ten reports', 'reports', 10, true, 'beegrid', now()),
    ('reports-100', 1, '2020-01-01T00:00:00Z', 'badge', '百次守望', 'A hundred reports', 'reports', 100, true, 'beegrid',
     now()),
    ('points-1000', 1, '2020-01-01T00:00:00Z', 'badge', '千分之星', 'A thousand points', 'points', 1000, true, 'beegrid',
     now()),
    ('streak-7', 1, '2020-01-01T00:00:00Z', 'badge', '七日连巡', 'Seven days in a row', 'streak', 7, true, 'beegrid', now()),
    ('streak-30', 1, '2020-01-01T00:00:00Z', 'badge', '三十日连巡', 'Thirty days in a row', 'streak', 30, true, 'beegrid',
     now());

-- A badge is awarded once. What it was given for may be taken back: then it is not valid, for as long as it is so.
CREATE TABLE awards (
    award_id uuid PRIMARY KEY,
    rider_id uuid NOT NULL,
    code text NOT NULL,
    zh text NOT NULL,
    en text NOT NULL,
    measure text NOT NULL,
    least integer NOT NULL,
    awarded_at timestamptz NOT NULL,
    valid boolean NOT NULL DEFAULT true,
    UNIQUE (rider_id, code)
);

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON rules FROM %I', app);
END
$$;

-- How many there are is asked often, and may not cost more with every year.
SELECT keep_numbers(
    'standings', '{insert,update,delete}', $$SELECT 'points', '', coalesce(sum(points), 0) FROM %1$s$$,
    $$SELECT 'reports', '', coalesce(sum(reports), 0) FROM %1$s$$);
SELECT keep_numbers('awards', '{insert,delete}', $$SELECT 'awards', code, count(*) FROM %1$s GROUP BY code$$);
CREATE VIEW counted (what, label, n) AS
SELECT 'points', '', coalesce(sum(points), 0)::bigint FROM standings
UNION ALL SELECT 'reports', '', coalesce(sum(reports), 0)::bigint FROM standings
UNION ALL SELECT 'awards', code, count(*) FROM awards GROUP BY code;

-- migrate:down
-- Forward only: a later migration corrects.
