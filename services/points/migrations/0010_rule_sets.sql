-- Why: what earns how much is data with a date, by area, kind, action and role, and no longer one row of caps.
-- migrate:up

-- A set is all rules there are from an instant until the next set's: what was decided before stays explainable.
CREATE TABLE rule_sets (
    version bigint PRIMARY KEY CHECK (version > 0),
    effective_from timestamptz NOT NULL UNIQUE,
    set_by text NOT NULL,
    reason text NOT NULL,
    set_at timestamptz NOT NULL
);

-- Empty texts: any. Who may have what of a set's columns, services/points/earning/rows.py says.
CREATE TABLE rule_rows (
    version bigint NOT NULL REFERENCES rule_sets,
    name text NOT NULL,
    line integer NOT NULL,
    sort text NOT NULL CHECK (sort IN ('award', 'cap', 'campaign')),
    source text NOT NULL CHECK (source IN ('', 'report', 'deed')),
    area text NOT NULL DEFAULT '',
    kind text NOT NULL DEFAULT '',
    level text NOT NULL DEFAULT '',
    action text NOT NULL DEFAULT '',
    role text NOT NULL DEFAULT '',
    outcome text NOT NULL DEFAULT '',
    points integer CHECK (points >= 0),
    co_percent integer CHECK (co_percent BETWEEN 0 AND 100),
    co_max integer CHECK (co_max >= 0),
    per text NOT NULL DEFAULT '' CHECK (per IN ('', 'day', 'week')),
    each text NOT NULL DEFAULT '' CHECK (each IN ('', 'kind', 'grid')),
    points_max integer CHECK (points_max >= 0),
    count_max integer CHECK (count_max >= 0),
    percent integer CHECK (percent BETWEEN 1 AND 1000),
    begins_at timestamptz,
    ends_at timestamptz,
    zh text NOT NULL,
    en text NOT NULL,
    PRIMARY KEY (version, name),
    CHECK (ends_at > begins_at),
    CHECK (sort <> 'cap' OR (per <> '' AND (points_max IS NULL) <> (count_max IS NULL))),
    CHECK (sort <> 'campaign' OR (percent IS NOT NULL AND ends_at IS NOT NULL))
);

-- What stood in `rules` says the same in the new words: a kind's own points, three caps.
INSERT INTO rule_sets SELECT version, effective_from, set_by, reason, set_at FROM rules;
INSERT INTO rule_rows (version, name, line, sort, source, co_max, zh, en)
SELECT version, 'catalogue', 1, 'award', 'report', co_reporters_max, '类别标准', 'the points of its kind' FROM rules;
INSERT INTO rule_rows (version, name, line, sort, source, per, points_max, zh, en)
SELECT version, 'day-points', 2, 'cap', 'report', 'day', points_per_day_max, '每日积分上限', 'points of a day' FROM rules;
INSERT INTO rule_rows (version, name, line, sort, source, per, each, count_max, zh, en)
SELECT version, 'day-kind', 3, 'cap', 'report', 'day', 'kind', kind_reports_per_day_max, '每类每日次数上限',
       'reports of one kind on a day'
FROM rules;

-- Which rule decided, of what day it was, and as a cap sees it: which grid. Holds of before have none.
ALTER TABLE holds ADD COLUMN rule text;
ALTER TABLE holds ADD COLUMN happened_at timestamptz;
COMMENT ON COLUMN holds.rule IS 'version/name of the rule that decided, +name of the campaign that multiplied';
-- There is no release yet: nobody waits for these locks, and nobody reads what is dropped.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX holds_made_at ON holds USING brin (made_at) WITH (autosummarize = on, pages_per_range = 64);

-- Caps may count by grid, too.
ALTER TABLE earnings ADD COLUMN grid_code text NOT NULL DEFAULT '';
-- squawk-ignore ban-drop-constraint
ALTER TABLE earnings DROP CONSTRAINT earnings_pkey;
-- squawk-ignore adding-serial-primary-key-field, require-concurrent-index-creation, constraint-missing-not-valid
ALTER TABLE earnings ADD PRIMARY KEY (rider_id, earned_on, kind, grid_code);

-- Of the rules of before nothing is left to be read or written.
-- squawk-ignore ban-drop-table
DROP TABLE rules;

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON rule_sets, rule_rows FROM %I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
