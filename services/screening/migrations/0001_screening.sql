-- Why: points that look farmed wait for a person, who needs to see what was found and decide once.
-- migrate:up

-- Where and when a rider reported, for as long as journeys are compared: a day, then the whole row goes.
CREATE TABLE sightings (
    report_id uuid PRIMARY KEY,
    rider_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    lng double precision NOT NULL,
    lat double precision NOT NULL,
    accuracy_m double precision NOT NULL,
    grid_code text
);
CREATE INDEX sightings_rider ON sightings (rider_id, occurred_at);
CREATE INDEX sightings_received ON sightings (received_at);

-- What the rider moves with: how fast they may be. From the states of riders, which come in any order.
CREATE TABLE vehicles (
    rider_id uuid PRIMARY KEY,
    kind text NOT NULL,
    version bigint NOT NULL
);

-- Digests of photos. `phash` is compared by its distance in bits: two that differ in three at most have one of the four
-- parts of 16 bits in common, and each part has an index.
CREATE TABLE photos (
    report_id uuid NOT NULL,
    sha256 text NOT NULL,
    phash bigint NOT NULL,
    rider_id uuid NOT NULL,
    grid_code text,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (sha256, report_id)
);
CREATE INDEX photos_received ON photos (received_at);
CREATE INDEX photos_rider ON photos (rider_id);
CREATE INDEX photos_part_0 ON photos (((phash >> 0) & 65535));
CREATE INDEX photos_part_1 ON photos (((phash >> 16) & 65535));
CREATE INDEX photos_part_2 ON photos (((phash >> 32) & 65535));
CREATE INDEX photos_part_3 ON photos (((phash >> 48) & 65535));

-- Who reported one thing together: the first few of a case, since later ones earn nothing.
CREATE TABLE meetings (
    case_id uuid NOT NULL,
    rider_id uuid NOT NULL,
    report_id uuid NOT NULL,
    met_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, rider_id)
);
CREATE INDEX meetings_rider ON meetings (rider_id, met_at);
CREATE INDEX meetings_met ON meetings (met_at);

-- Who verified whose case, and how soon. Steps of a case come in any order, so each column is filled when it is known.
CREATE TABLE verdicts (
    case_id uuid PRIMARY KEY,
    grid_code text NOT NULL,
    opened_at timestamptz NOT NULL,
    rider_id uuid,
    report_id uuid,
    verified_by text,
    verified_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX verdicts_opened ON verdicts (opened_at);
CREATE INDEX verdicts_rider ON verdicts (rider_id, verified_at) WHERE rider_id IS NOT NULL;
CREATE INDEX verdicts_verifier ON verdicts (verified_by, verified_at) WHERE verified_by IS NOT NULL;
CREATE INDEX verdicts_grid ON verdicts (grid_code, verified_at) WHERE verified_by IS NOT NULL;

-- A report under suspicion. `watched`: what was found is too little to stop its points. `score`: of what nobody has
-- decided on yet. `version` counts what was published.
CREATE TABLE suspicions (
    report_id uuid PRIMARY KEY,
    rider_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'watched' CHECK (state IN ('watched', 'raised', 'cleared', 'confirmed')),
    score integer NOT NULL DEFAULT 0 CHECK (score >= 0),
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    changed_at timestamptz NOT NULL,
    decided_by text,
    note text NOT NULL DEFAULT ''
) WITH (fillfactor = 80);
CREATE INDEX suspicions_queue ON suspicions (state, changed_at, report_id);
CREATE INDEX suspicions_rider ON suspicions (rider_id, report_id);
CREATE INDEX suspicions_changed ON suspicions (changed_at) WHERE state IN ('watched', 'cleared');

-- What was found of a report, each thing once, with what was measured and what would have been allowed.
CREATE TABLE findings (
    report_id uuid NOT NULL REFERENCES suspicions ON DELETE CASCADE,
    reason text NOT NULL,
    score integer NOT NULL CHECK (score >= 0),
    measured integer NOT NULL,
    allowed integer NOT NULL,
    span integer NOT NULL,
    other_report uuid,
    other_rider uuid,
    other_person text,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (report_id, reason)
);

-- Thresholds from an instant on; new ones are a new row. A score of 0 switches a detector off.
CREATE TABLE limits (
    version bigint PRIMARY KEY CHECK (version > 0),
    effective_from timestamptz NOT NULL UNIQUE,
    raise_at integer NOT NULL,
    velocity_minutes integer NOT NULL,
    velocity_reports integer NOT NULL,
    velocity_score integer NOT NULL,
    day_reports integer NOT NULL,
    day_score integer NOT NULL,
    slow_kmh integer NOT NULL,
    fast_kmh integer NOT NULL,
    travel_least_m integer NOT NULL,
    travel_score integer NOT NULL,
    photo_score integer NOT NULL,
    similar_bits integer NOT NULL,
    similar_score integer NOT NULL,
    pair_days integer NOT NULL,
    pair_cases integer NOT NULL,
    pair_percent integer NOT NULL,
    pair_excess integer NOT NULL,
    pair_score integer NOT NULL,
    quick_minutes integer NOT NULL,
    quick_cases integer NOT NULL,
    quick_score integer NOT NULL,
    ring_days integer NOT NULL,
    ring_cases integer NOT NULL,
    ring_percent integer NOT NULL,
    ring_score integer NOT NULL,
    set_by text NOT NULL,
    reason text NOT NULL,
    set_at timestamptz NOT NULL
);
INSERT INTO limits VALUES (
    1, '2020-01-01T00:00:00Z', 100,
    10, 6, 100,
    40, 100,
    70, 140, 1500, 100,
    100, 3, 60,
    30, 8, 80, 40, 100,
    10, 5, 100,
    30, 5, 75, 100,
    'beegrid', 'delivered with the suite', now());

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON limits FROM %I', app);
END
$$;

-- How many there are is asked often, and may not cost more with every year.
SELECT keep_numbers(
    'suspicions', '{insert,update,delete}', $$SELECT 'suspicions', state, count(*) FROM %1$s GROUP BY state$$);
CREATE VIEW counted (what, label, n) AS SELECT 'suspicions', state, count(*) FROM suspicions GROUP BY state;

-- migrate:down
-- Forward only: a later migration corrects.
