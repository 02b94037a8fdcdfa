-- Why: rows leave by when they were heard. By what their events say, one that is heard late, after an outage or from states
-- that are published again, would be gone before it is compared, or lie where the sweep has been already and stay. And the
-- newest pictures with a part of their hash in common are read without all others.
-- migrate:up

ALTER TABLE sightings ADD COLUMN heard_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE photos ADD COLUMN heard_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE meetings ADD COLUMN heard_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE verdicts ADD COLUMN heard_at timestamptz NOT NULL DEFAULT now();

-- One consumer writes these tables and nobody waits for it: a few seconds' lock is no outage, its events wait in Kafka.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX sightings_heard ON sightings (heard_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX sightings_received;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX photos_heard ON photos (heard_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX photos_received;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX meetings_heard ON meetings (heard_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX meetings_met;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX verdicts_heard ON verdicts (heard_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX verdicts_opened;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX photos_newest_0 ON photos (((phash >> 0) & 65535), received_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX photos_part_0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX photos_newest_1 ON photos (((phash >> 16) & 65535), received_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX photos_part_1;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX photos_newest_2 ON photos (((phash >> 32) & 65535), received_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX photos_part_2;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX photos_newest_3 ON photos (((phash >> 48) & 65535), received_at);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX photos_part_3;

-- migrate:down
-- Forward only: a later migration corrects.
