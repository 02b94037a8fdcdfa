-- Why: how many messages and deliveries there are is asked every second, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers('messages', '{insert,delete}', $$SELECT 'messages', '', count(*) FROM %1$s$$);
-- By lane as well, as gauges show them; of webhooks each one's that are not sent: there are as many webhooks as companies.
SELECT keep_numbers(
    'deliveries', '{insert,update,delete}',
    $$SELECT 'deliveries', lane || ' ' || state, count(*) FROM %1$s GROUP BY lane, state$$,
    $$SELECT 'webhook_deliveries', target_id::text || ' ' || state, count(*) FROM %1$s
      WHERE lane = 'webhook' AND state <> 'sent' GROUP BY target_id, state$$);

CREATE VIEW counted (what, label, n) AS
SELECT 'messages', '', count(*) FROM messages
UNION ALL SELECT 'deliveries', lane || ' ' || state, count(*) FROM deliveries GROUP BY lane, state
UNION ALL SELECT 'webhook_deliveries', target_id::text || ' ' || state, count(*) FROM deliveries
    WHERE lane = 'webhook' AND state <> 'sent' GROUP BY target_id, state;

-- migrate:down
-- Forward only: a later migration corrects.
