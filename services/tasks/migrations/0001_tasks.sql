-- Why: communities publish tasks, riders claim places of them; how many places, points and claims there are is decided here.
-- migrate:up

-- Teams of riders, for whom a task may be, or as whom a rider may claim one.
CREATE TABLE teams (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    area_code text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('helpers', 'lookouts', 'grid_workers', 'other')),
    closed boolean NOT NULL DEFAULT false,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams,
    rider_id uuid NOT NULL,
    -- who leads a team is one of its members; a reference from the team to them would be a circle
    leads boolean NOT NULL DEFAULT false,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, rider_id)
);
CREATE INDEX team_members_rider ON team_members (rider_id);
CREATE UNIQUE INDEX team_members_leads ON team_members (team_id) WHERE leads;

-- A task that comes again each week. `made_until`: tasks of earlier days are there.
CREATE TABLE series (
    id uuid PRIMARY KEY,
    team_id uuid REFERENCES teams,
    kind text NOT NULL CHECK (kind IN ('volunteer-task', 'errand')),
    area_code text NOT NULL,
    title text NOT NULL,
    needs text NOT NULL,
    address text NOT NULL,
    lng double precision,
    lat double precision,
    skills text[] NOT NULL,
    capacity integer NOT NULL CHECK (capacity BETWEEN 1 AND 1000),
    points integer NOT NULL CHECK (points BETWEEN 1 AND 1000),
    points_given integer NOT NULL,
    weekday smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    minute smallint NOT NULL CHECK (minute BETWEEN 0 AND 1439),
    minutes smallint NOT NULL CHECK (minutes BETWEEN 15 AND 1440),
    hand_back_hours integer NOT NULL CHECK (hand_back_hours BETWEEN 0 AND 168),
    made_until date NOT NULL,
    until date NOT NULL,
    published_by text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT within_points CHECK (capacity * points <= points_given)
);
CREATE INDEX series_due ON series (made_until) WHERE ended_at IS NULL;
CREATE INDEX series_team ON series (team_id);

-- One task. The row is the lock of its claims: whoever moves a claim has it first.
CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    series_id uuid REFERENCES series,
    team_id uuid REFERENCES teams,
    kind text NOT NULL CHECK (kind IN ('volunteer-task', 'errand')),
    area_code text NOT NULL,
    title text NOT NULL,
    needs text NOT NULL,
    address text NOT NULL,
    lng double precision,
    lat double precision CHECK ((lat IS NULL) = (lng IS NULL)),
    skills text[] NOT NULL,
    capacity integer NOT NULL CHECK (capacity BETWEEN 1 AND 1000),
    points integer NOT NULL CHECK (points BETWEEN 1 AND 1000),
    points_given integer NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    hand_back_until timestamptz NOT NULL CHECK (hand_back_until <= starts_at),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'cancelled', 'over')),
    paused boolean NOT NULL DEFAULT false,
    was_paused boolean NOT NULL DEFAULT false,
    claims integer NOT NULL DEFAULT 0,
    taken integer NOT NULL DEFAULT 0 CHECK (taken >= 0),
    waiting integer NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    handed_back integer NOT NULL DEFAULT 0 CHECK (handed_back >= 0),
    no_shows integer NOT NULL DEFAULT 0 CHECK (no_shows >= 0),
    called_off integer NOT NULL DEFAULT 0 CHECK (called_off >= 0),
    approved integer NOT NULL DEFAULT 0 CHECK (approved BETWEEN 0 AND taken),
    published_by text NOT NULL,
    reason text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now(),
    left_topic boolean NOT NULL DEFAULT false,
    UNIQUE (series_id, starts_at),
    CONSTRAINT within_points CHECK (capacity * points <= points_given),
    CONSTRAINT within_capacity CHECK (taken <= capacity),
    CONSTRAINT every_claim_is_somewhere CHECK (claims = taken + waiting + handed_back + no_shows + called_off)
) WITH (fillfactor = 70);
COMMENT ON COLUMN tasks.waiting IS 'riders on the waiting list, and those for whom no place was left';
CREATE INDEX tasks_open ON tasks (starts_at, id) WHERE state = 'open';
CREATE INDEX tasks_ending ON tasks (ends_at) WHERE state = 'open';
CREATE INDEX tasks_line ON tasks (hand_back_until) WHERE state = 'open' AND waiting > 0;
CREATE INDEX tasks_leaving ON tasks (ends_at) WHERE state <> 'open' AND NOT left_topic;
CREATE INDEX tasks_team ON tasks (team_id);

-- One rider's part in a task. Whoever hands a place back may claim again, behind all others.
CREATE TABLE claims (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    task_id uuid NOT NULL REFERENCES tasks,
    rider_id uuid NOT NULL,
    company text NOT NULL,
    team_id uuid REFERENCES teams,
    no integer NOT NULL,
    state text NOT NULL CHECK (state IN (
        'waiting', 'claimed', 'started', 'finished', 'approved', 'rejected', 'handed_back', 'no_show', 'called_off',
        'unserved')),
    promoted boolean NOT NULL DEFAULT false,
    of_age boolean NOT NULL CHECK (of_age),
    contact_sealed text,
    contact_read_by text,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    ended_at timestamptz,
    photo_id uuid,
    note text NOT NULL DEFAULT '',
    review_due_at timestamptz,
    reviewed_by text,
    reviewed_at timestamptz,
    overturned_by text,
    decided_at timestamptz,
    reason text NOT NULL DEFAULT '',
    appeal text NOT NULL DEFAULT '',
    appealed_at timestamptz,
    appeal_decided_by text,
    appeal_decided_at timestamptz,
    UNIQUE (task_id, no),
    CONSTRAINT another_person_overturns CHECK (overturned_by IS NULL OR overturned_by <> reviewed_by),
    CONSTRAINT another_person_decides CHECK (
        appeal_decided_by IS NULL OR (appeal_decided_by <> reviewed_by AND appeal_decided_by IS DISTINCT FROM overturned_by)),
    CHECK (state NOT IN ('approved', 'rejected') OR reviewed_by IS NOT NULL)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX claims_once ON claims (task_id, rider_id) WHERE state <> 'handed_back';
CREATE INDEX claims_rider ON claims (rider_id, id);
CREATE INDEX claims_live ON claims (rider_id) WHERE state IN ('waiting', 'claimed');
CREATE INDEX claims_missed ON claims (rider_id, ended_at) WHERE state = 'no_show';
CREATE INDEX claims_line ON claims (task_id, no) WHERE state = 'waiting';
CREATE INDEX claims_to_review ON claims (review_due_at, id) WHERE state = 'finished';
CREATE INDEX claims_appealed ON claims (appealed_at, id) WHERE appealed_at IS NOT NULL AND appeal_decided_at IS NULL;
CREATE INDEX claims_team ON claims (team_id) WHERE state = 'approved';
CREATE INDEX claims_company ON claims (company, decided_at) WHERE state = 'approved';
CREATE INDEX claims_contact ON claims (id) WHERE contact_sealed IS NOT NULL;

-- What points were asked for an approved claim. It is never changed but for being withdrawn: whoever is right after all
-- gets another one.
CREATE TABLE deeds (
    deed_id uuid PRIMARY KEY,
    claim_id uuid NOT NULL REFERENCES claims,
    rider_id uuid NOT NULL,
    action text NOT NULL,
    area_code text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    done_at timestamptz NOT NULL,
    reported_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX deeds_once ON deeds (claim_id) WHERE withdrawn_at IS NULL;

-- Where and when the weather lets nobody work outside.
CREATE TABLE alarms (
    id uuid PRIMARY KEY,
    area_code text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    words_zh text NOT NULL,
    words_en text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    ended_by text,
    ended_at timestamptz
);
CREATE INDEX alarms_now ON alarms (until) WHERE ended_at IS NULL;

-- How many there are is asked often, and may not cost more with every year.
SELECT keep_numbers(
    'tasks', '{insert,update}',
    $$SELECT 'claims_said', '', coalesce(sum(claims), 0) FROM %1$s$$,
    $$SELECT 'places', '', coalesce(sum(taken), 0) FROM %1$s$$,
    $$SELECT 'lines', '', coalesce(sum(waiting), 0) FROM %1$s$$,
    $$SELECT 'approvals_said', '', coalesce(sum(approved), 0) FROM %1$s$$,
    $$SELECT 'tasks', state, count(*) FROM %1$s GROUP BY state$$);
SELECT keep_numbers('claims', '{insert,update}', $$SELECT 'claims', state, count(*) FROM %1$s GROUP BY state$$);
SELECT keep_numbers(
    'deeds', '{insert,update}', $$SELECT 'deeds', '', count(*) FROM %1$s WHERE withdrawn_at IS NULL$$);
CREATE VIEW counted (what, label, n) AS
SELECT 'claims_said', '', coalesce(sum(claims), 0)::bigint FROM tasks
UNION ALL SELECT 'places', '', coalesce(sum(taken), 0)::bigint FROM tasks
UNION ALL SELECT 'lines', '', coalesce(sum(waiting), 0)::bigint FROM tasks
UNION ALL SELECT 'approvals_said', '', coalesce(sum(approved), 0)::bigint FROM tasks
UNION ALL SELECT 'tasks', state, count(*) FROM tasks GROUP BY state
UNION ALL SELECT 'claims', state, count(*) FROM claims GROUP BY state
UNION ALL SELECT 'deeds', '', count(*) FROM deeds WHERE withdrawn_at IS NULL;

-- migrate:down
-- Forward only: a later migration corrects.
