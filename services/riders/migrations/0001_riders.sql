-- Why: the suite has one place that says which companies and riders exist, who may sign, and who agreed to what.
-- migrate:up

CREATE TABLE companies (
    company_id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text NOT NULL,
    active boolean NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

-- `sealed` is AES-256-GCM over the key, bound to company and key id; emptied when the key is revoked.
CREATE TABLE company_keys (
    key_id uuid PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    sealed text NOT NULL,
    active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CHECK (active = (revoked_at IS NULL))
);
CREATE INDEX company_keys_company ON company_keys (company_id);

CREATE TABLE outlets (
    company_id uuid NOT NULL REFERENCES companies,
    code text NOT NULL,
    name text NOT NULL,
    address text NOT NULL,
    active boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (company_id, code)
);

-- No name, no phone: what identifies a person stands in rider_names, so that erasure is one delete.
CREATE TABLE riders (
    rider_id uuid PRIMARY KEY,
    company text NOT NULL REFERENCES companies (code),
    external_id text NOT NULL,
    kind text NOT NULL,
    outlet text,
    consent_at timestamptz,
    locale text NOT NULL,
    active boolean NOT NULL,
    erased_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    UNIQUE (company, external_id)
);
CREATE INDEX riders_erased_at ON riders (erased_at) WHERE erased_at IS NOT NULL;

CREATE TABLE rider_names (
    rider_id uuid PRIMARY KEY REFERENCES riders,
    name text NOT NULL
);

-- migrate:down
-- Forward only: a later migration corrects.
