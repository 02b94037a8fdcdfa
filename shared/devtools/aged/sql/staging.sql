-- The city's three years, once, for all services: schema `aged`, dropped at the end. Everything follows from a report's
-- number, so every service gets the same ids.
CREATE FUNCTION aged.chance(n bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(n, salt) & 4503599627370495)::float8 / 4503599627370496;

-- A UUID of version 7: a time and what makes it one of a kind. STABLE, as what is in it: else it is called for each row
-- where its words could stand in the statement itself.
CREATE FUNCTION aged.id(at timestamptz, what text, n bigint) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN (lpad(to_hex((date_part('epoch', at) * 1000)::bigint), 12, '0')
        || overlay(overlay(substr(md5(what || n), 1, 20) PLACING '7' FROM 1) PLACING '8' FROM 5))::uuid;

CREATE FUNCTION aged.at(n bigint, reports bigint, until timestamptz) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN until - interval '1096 days' * (1 - (n + aged.chance(n, 1)) / reports);

-- What was put in from outside: kinds with their points, and grids with a place inside.
CREATE UNLOGGED TABLE aged.kinds (no int PRIMARY KEY, code text, level text, points int, co_percent int);

CREATE UNLOGGED TABLE aged.grids (no int PRIMARY KEY, code text, name text, lng float8, lat float8);

CREATE UNLOGGED TABLE aged.companies (no int PRIMARY KEY, code text, company_id uuid, key_id uuid, sealed text);

CREATE UNLOGGED TABLE aged.riders (no int PRIMARY KEY, rider_id uuid, company text, external_id text, made_at timestamptz);

CREATE UNLOGGED TABLE aged.reports (
    n bigint, at timestamptz, report_id uuid, rider_id uuid, company text, external_id text, kind text,
    level text, lng float8, lat float8, grid_code text, grid_name text, routed boolean, case_id uuid, ordinal int,
    report_count int, opened_at timestamptz, joined_at timestamptz, ended_at timestamptz, state text, amount int
);

-- Movements of riders' accounts.
CREATE UNLOGGED TABLE aged.movements (
    n bigint, source text, hold_id uuid, rider_id uuid, case_id uuid, company text, movement text, amount int,
    reason text, at timestamptz
);

-- Where a redemption's voucher is for: every second one for one merchant, whose statement is long.
CREATE FUNCTION aged.shop(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN n % 2 = 0 THEN 1 ELSE n % 20 + 1 END;

CREATE UNLOGGED TABLE aged.redemptions (
    n bigint PRIMARY KEY, redemption_id uuid, rider_id uuid, requested_at timestamptz, used boolean
);
