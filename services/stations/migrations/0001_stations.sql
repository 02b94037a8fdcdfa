-- Why: places for riders, what is so there now, and what of it is counted. The database decides: one visit a rider, station
-- and day, one open spell of a kind, one next version. Where riders were is in no column.
-- migrate:up

CREATE TABLE stations (
    id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    -- counts what others are notified of; `edition` counts changes of what the office says
    version bigint NOT NULL CHECK (version > 0),
    edition bigint NOT NULL CHECK (edition > 0),
    name text NOT NULL,
    kind text NOT NULL,
    sponsor text NOT NULL,
    area_code text NOT NULL,
    address text NOT NULL,
    lng double precision NOT NULL CHECK (lng BETWEEN -180 AND 180),
    lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    managing_unit text NOT NULL,
    responsible text NOT NULL,
    -- the person's own, for offices; `duty_phone` hangs on the door
    phone text NOT NULL,
    duty_phone text NOT NULL,
    hours text NOT NULL,
    open_on_holidays boolean NOT NULL,
    services text[] NOT NULL,
    parking_places integer CHECK (parking_places >= 0),
    photos text[] NOT NULL,
    code_epoch integer NOT NULL DEFAULT 1 CHECK (code_epoch > 0),
    retired_reason text,
    state text NOT NULL CHECK (state IN ('open', 'full', 'closed', 'off_hours', 'day_off', 'weather', 'retired')),
    state_reason text NOT NULL DEFAULT '',
    state_since timestamptz NOT NULL,
    state_until timestamptz,
    faults text[] NOT NULL DEFAULT '{}',
    list_year integer,
    list_version integer,
    -- when what is so may be otherwise: whoever looks then writes it
    next_at timestamptz NOT NULL,
    -- up to when hours open are counted in station_days
    settled_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CHECK ((list_year IS NULL) = (list_version IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX stations_next ON stations (next_at);
CREATE INDEX stations_area ON stations (area_code);

CREATE TABLE keepers (
    station_id uuid NOT NULL REFERENCES stations,
    person text NOT NULL,
    name text NOT NULL,
    changed_by text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (station_id, person)
);
CREATE INDEX keepers_person ON keepers (person);

CREATE TABLE special_days (
    station_id uuid NOT NULL REFERENCES stations,
    day date NOT NULL,
    -- '' for none: closed that day
    hours text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (station_id, day)
);
CREATE INDEX special_days_day ON special_days (day);

-- Holidays, storms: of areas, or of the whole city where none is named
CREATE TABLE periods (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('holiday', 'weather', 'other')),
    closes boolean NOT NULL,
    areas text[] NOT NULL,
    reason text NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    CHECK (ends_at IS NULL OR begins_at <= ends_at)
);
CREATE INDEX periods_begins ON periods (begins_at);
CREATE INDEX periods_ends ON periods (ends_at);

CREATE TABLE spells (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations,
    state text NOT NULL CHECK (state IN ('full', 'closed', 'fault')),
    part text NOT NULL,
    reason text NOT NULL,
    -- in which storm or holiday it began
    period_id uuid REFERENCES periods,
    began_at timestamptz NOT NULL,
    until_at timestamptz,
    ended_at timestamptz,
    sightings integer NOT NULL DEFAULT 0 CHECK (sightings >= 0),
    denials integer NOT NULL DEFAULT 0 CHECK (denials >= 0),
    confirmed_at timestamptz,
    confirmed_role text NOT NULL DEFAULT '',
    confirmed_by text NOT NULL DEFAULT '',
    CHECK (confirmed_at IS NOT NULL OR (confirmed_role = '' AND confirmed_by = '')),
    CHECK (state = 'fault' OR part = '')
) WITH (fillfactor = 70);
-- Whoever finds the same at the same time finds one spell
CREATE UNIQUE INDEX spells_open ON spells (station_id, state, part) WHERE ended_at IS NULL;
CREATE INDEX spells_station ON spells (station_id, began_at, id);
CREATE INDEX spells_period ON spells (period_id) WHERE period_id IS NOT NULL;

-- What a rider found, for a day: so that one rider counts once. The spell keeps the number.
CREATE TABLE sightings (
    station_id uuid NOT NULL REFERENCES stations,
    rider_id uuid NOT NULL,
    seen_on date NOT NULL,
    found text NOT NULL CHECK (found IN ('open', 'full', 'closed', 'fault')),
    part text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (station_id, rider_id, seen_on, found, part)
);
CREATE INDEX sightings_seen ON sightings (seen_at);
CREATE INDEX sightings_rider ON sightings (rider_id);

-- A rider's visit, for a day; then it is one in station_days and nobody's any more.
CREATE TABLE visits (
    station_id uuid NOT NULL REFERENCES stations,
    rider_id uuid NOT NULL,
    visited_on date NOT NULL,
    way text NOT NULL CHECK (way IN ('code', 'near')),
    visited_at timestamptz NOT NULL,
    PRIMARY KEY (station_id, rider_id, visited_on)
);
CREATE INDEX visits_rider ON visits (rider_id);
CREATE INDEX visits_visited ON visits (visited_at);

CREATE TABLE station_days (
    station_id uuid NOT NULL REFERENCES stations,
    day date NOT NULL,
    visits integer NOT NULL DEFAULT 0 CHECK (visits >= 0),
    open_s integer NOT NULL DEFAULT 0 CHECK (open_s >= 0),
    ratings integer NOT NULL DEFAULT 0 CHECK (ratings >= 0),
    stars integer NOT NULL DEFAULT 0,
    sightings integer NOT NULL DEFAULT 0 CHECK (sightings >= 0),
    PRIMARY KEY (station_id, day),
    CHECK (stars BETWEEN ratings AND 5 * ratings)
) WITH (fillfactor = 50);

CREATE TABLE service_lists (
    station_id uuid NOT NULL REFERENCES stations,
    year integer NOT NULL CHECK (year BETWEEN 2000 AND 2999),
    version integer NOT NULL CHECK (version > 0),
    items jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    published_by text NOT NULL,
    PRIMARY KEY (station_id, year, version)
);

CREATE TABLE feedback (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations,
    -- NULL: the rider has left
    rider_id uuid,
    given_on date NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    words text NOT NULL,
    state text NOT NULL CHECK (state IN ('noted', 'waiting', 'answered')),
    given_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    answer text NOT NULL DEFAULT '',
    answered_at timestamptz,
    answered_by text NOT NULL DEFAULT '',
    CHECK ((state = 'answered') = (answered_at IS NOT NULL))
);
CREATE UNIQUE INDEX feedback_once ON feedback (rider_id, station_id, given_on);
CREATE INDEX feedback_station ON feedback (station_id, id);
CREATE INDEX feedback_waiting ON feedback (due_at) WHERE state = 'waiting';
CREATE INDEX feedback_given ON feedback (given_at);

CREATE TABLE donations (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations,
    donor text NOT NULL,
    named boolean NOT NULL,
    goods text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    unit text NOT NULL,
    given_on date NOT NULL,
    thanks text NOT NULL,
    withdrawn_reason text,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX donations_station ON donations (station_id, id);

SELECT keep_numbers('stations', '{insert}', $$SELECT 'stations', '', count(*) FROM %1$s$$);
SELECT keep_numbers('visits', '{insert,delete}', $$SELECT 'visits', '', count(*) FROM %1$s$$);
SELECT keep_numbers(
    'station_days', '{insert,update}', $$SELECT 'visits', '', coalesce(sum(visits), 0)::bigint FROM %1$s$$);
SELECT keep_numbers('feedback', '{insert,delete}', $$SELECT 'feedback', '', count(*) FROM %1$s$$);

CREATE VIEW counted (what, label, n) AS
SELECT 'stations', '', count(*) FROM stations
UNION ALL SELECT 'visits', '', (SELECT count(*) FROM visits) + (SELECT coalesce(sum(visits), 0)::bigint FROM station_days)
UNION ALL SELECT 'feedback', '', count(*) FROM feedback;

DO $$
BEGIN
    EXECUTE format(
        'REVOKE DELETE, TRUNCATE ON stations, periods, spells, station_days, service_lists, donations FROM %1$I',
        regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
