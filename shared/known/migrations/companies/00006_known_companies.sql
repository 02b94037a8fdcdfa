-- Why: a service that takes companies' signatures, or notifies companies, knows who they are and whether they may act.
-- migrate:up

-- riders.company-changed.v1, the newest state of each. A suspended company stays with its keys: it learns why it is
-- refused instead of being taken for somebody else.
CREATE TABLE known_companies (
    code text PRIMARY KEY,
    active boolean NOT NULL,
    keys jsonb NOT NULL,
    version bigint NOT NULL
);
COMMENT ON COLUMN known_companies.keys IS 'the active signing keys, newest first; secrets only sealed';

-- migrate:down
-- Forward only: a later migration corrects.
