-- Why: a rotated signing key stays good for a stated time, then ends without anybody remembering to revoke it.
-- migrate:up

ALTER TABLE company_keys ADD COLUMN expires_at timestamptz;

-- migrate:down
-- Forward only: a later migration corrects.
