-- Why: a merchant asks to take part and somebody decides; it has stores with places and hours, and people who may take vouchers.
-- migrate:up

ALTER TABLE merchants
    ADD COLUMN kind text NOT NULL DEFAULT 'shop' CHECK (kind IN ('shop', 'station')),
    ADD COLUMN service text NOT NULL DEFAULT '',
    ADD COLUMN area_code text,
    -- `active` says whether anything can be had: from the approval on
    ADD COLUMN review text NOT NULL DEFAULT 'approved' CHECK (review IN ('applied', 'approved', 'refused')),
    ADD COLUMN review_reason text,
    ADD COLUMN applied_by text,
    ADD COLUMN reviewed_by text,
    ADD COLUMN reviewed_at timestamptz,
    ADD CONSTRAINT merchants_review CHECK (
        (review = 'approved' OR NOT active) AND (review <> 'refused' OR review_reason IS NOT NULL)
        AND (review <> 'applied' OR applied_by IS NOT NULL)) NOT VALID;
-- One application of a person waits at a time. There are as many rows as merchants, and none waits yet: no lock of any length.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX merchants_applied ON merchants (applied_by) WHERE review = 'applied';

CREATE TABLE stores (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    name text NOT NULL,
    address text NOT NULL,
    area_code text,
    -- WGS-84
    lng double precision,
    lat double precision,
    opens_minute smallint NOT NULL CHECK (opens_minute BETWEEN 0 AND 1439),
    closes_minute smallint NOT NULL CHECK (closes_minute BETWEEN 1 AND 2880),
    weekdays smallint NOT NULL CHECK (weekdays BETWEEN 1 AND 127),
    CHECK (opens_minute < closes_minute),
    CHECK ((lng IS NULL) = (lat IS NULL))
);
CREATE INDEX stores_merchant ON stores (merchant_id, id);

-- Who may take vouchers for a merchant. Where nobody is named, whoever's token names the merchant may.
CREATE TABLE staff (
    merchant_id uuid NOT NULL REFERENCES merchants,
    person text NOT NULL,
    name text NOT NULL,
    active boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (merchant_id, person)
);

-- Who took a voucher
ALTER TABLE redemptions ADD COLUMN taken_by text;

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON stores, staff FROM %1$I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
