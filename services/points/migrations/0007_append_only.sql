-- Why: an entry that somebody changed is no entry. Grants keep the service's role from it; a slip of the owner's hand in psql
-- isn't kept by them.
-- migrate:up

-- Whoever really must (a court, a repair after a lost disk) switches the trigger off by its name, which is seen; and the
-- sealed chain finds what was done.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
BEGIN
    RAISE EXCEPTION '% is append-only: correct with a further row', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$function$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE ON expiry_rules
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- A hold may end; what it is for never changes.
CREATE FUNCTION refuse_other_hold() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
BEGIN
    RAISE EXCEPTION 'a hold keeps its rider, its amount and what it is for' USING ERRCODE = 'restrict_violation';
END
$function$;
CREATE TRIGGER holds_stay BEFORE DELETE OR TRUNCATE ON holds FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER holds_keep_what_they_are BEFORE UPDATE OF id, source, rider_id, case_id, kind, amount, made_at ON holds
FOR EACH STATEMENT EXECUTE FUNCTION refuse_other_hold();

-- migrate:down
-- Forward only: a later migration corrects.
