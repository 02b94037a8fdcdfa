-- Why: who has decided an adjustment can't be rewritten afterwards, and nobody gives points to themselves.
-- migrate:up

CREATE TRIGGER adjustments_stay_decided BEFORE UPDATE ON adjustments
FOR EACH ROW WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION refuse_change();
-- There is no release yet: nobody waits for this lock.
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE adjustments ADD CONSTRAINT adjustments_not_for_oneself
    CHECK (state <> 'approved' OR (proposed_by <> rider_id::text AND decided_by <> rider_id::text));

-- migrate:down
-- Forward only: a later migration corrects.
