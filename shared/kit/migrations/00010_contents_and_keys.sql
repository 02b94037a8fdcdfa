-- Why: two different events under one id of their sender's are two, and only the first counted, without a word about
-- the second; and a dead letter leaves with the key that its record had, which may be none, or no text.
-- migrate:up

ALTER TABLE inbox ADD COLUMN content bytea;
COMMENT ON COLUMN inbox.content IS 'of an event that its sender has given an id: a hash of what it says; null also of those before';

ALTER TABLE outbox ADD COLUMN record_key bytea;
COMMENT ON COLUMN outbox.record_key IS 'of a dead letter: its record''s key, where that isn''t the text in key; null, and key empty: there is none';
ALTER TABLE outbox_held ADD COLUMN record_key bytea;

-- migrate:down
-- Forward only: a later migration corrects.
