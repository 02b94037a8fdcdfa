-- Why: whoever can write in the database could write history. A chain over each account's entries, sealed once a day into
-- one public root, shows that nobody has.
-- migrate:up

-- One a day. `after_id`: the account up to which a seal that is being made has come. root, seal: once it is made.
CREATE TABLE seals (
    number bigint PRIMARY KEY CHECK (number > 0),
    day date NOT NULL UNIQUE,
    began_at timestamptz NOT NULL,
    after_id uuid NOT NULL,
    accounts bigint NOT NULL DEFAULT 0,
    entries bigint NOT NULL DEFAULT 0,
    wrong bigint NOT NULL DEFAULT 0,
    previous bytea NOT NULL,
    root bytea,
    seal bytea,
    sealed_at timestamptz,
    CHECK ((root IS NULL) = (sealed_at IS NULL) AND (root IS NULL) = (seal IS NULL))
);
COMMENT ON COLUMN seals.wrong IS 'accounts whose balances were not those of their entries when they were sealed';

-- The chain of an account as of a seal: over its entries up to a version. Only where it has moved since the seal before.
-- Its balances are those of the same version, from which a statement goes on.
CREATE TABLE account_heads (
    rider_id uuid NOT NULL,
    seal bigint NOT NULL,
    version bigint NOT NULL,
    hash bytea NOT NULL,
    pending bigint NOT NULL,
    available bigint NOT NULL,
    reserved bigint NOT NULL,
    -- later than each of its entries
    made_at timestamptz NOT NULL,
    PRIMARY KEY (rider_id, seal)
);

-- Some hundred accounts that follow each other, and the root over their heads: a proof reads one of them.
CREATE TABLE seal_groups (
    seal bigint NOT NULL,
    first_id uuid NOT NULL,
    last_id uuid NOT NULL,
    accounts integer NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (seal, first_id)
);

CREATE FUNCTION refuse_sealed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
BEGIN
    IF EXISTS (SELECT FROM gone JOIN seals s ON s.number = gone.seal WHERE s.root IS NOT NULL) THEN
        RAISE EXCEPTION '% of a seal that is made never change', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$function$;
CREATE TRIGGER sealed AFTER UPDATE ON account_heads REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE FUNCTION refuse_made_seal() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
BEGIN
    IF EXISTS (SELECT FROM gone WHERE root IS NOT NULL) THEN
        RAISE EXCEPTION 'a seal that is made never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$function$;
CREATE TRIGGER sealed AFTER UPDATE ON seals REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION refuse_made_seal();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seal_groups
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON account_heads
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON seals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON seals, account_heads FROM %I', app);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON seal_groups FROM %I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
