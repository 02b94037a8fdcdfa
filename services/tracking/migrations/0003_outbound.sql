-- Why: companies hear on Kafka what becomes of the reports that they have filed, whole and in order.
-- migrate:up

-- Whose number external_id is: only a company's own reports are for it to hear of.
ALTER TABLE reports ADD COLUMN by_company boolean NOT NULL DEFAULT false;

-- Reports of which something has changed; entered with the change, gone with the event that says so. A report may be in
-- it several times: nobody waits for another's row, and what changes within a moment is said once.
CREATE TABLE outbound_due (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    report_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_threshold = 20000);

-- Cases with so many steps that a change is said of their reports in pages; after: the version of the last one read.
CREATE TABLE outbound_crowds (
    case_id uuid PRIMARY KEY,
    after bigint NOT NULL DEFAULT 0
);

-- migrate:down
-- Forward only: a later migration corrects.
