-- Why: the ledger's totals are asked every minute, and may not cost more with every year.
-- migrate:up

SELECT keep_numbers(
    'accounts', '{insert,update}',
    $$SELECT 'accounts', '', count(*) FROM %1$s$$,
    $$SELECT 'balance', 'pending', coalesce(sum(pending), 0) FROM %1$s$$,
    $$SELECT 'balance', 'available', coalesce(sum(available), 0) FROM %1$s$$,
    $$SELECT 'balance', 'reserved', coalesce(sum(reserved), 0) FROM %1$s$$);
SELECT keep_numbers(
    'holds', '{insert,update}', $$SELECT 'holds ' || source, state, count(*) FROM %1$s GROUP BY source, state$$);
SELECT keep_numbers(
    'entries', '{insert}',
    $$SELECT 'moved ' || movement, from_account || ' ' || to_account, sum(amount) FROM %1$s
      GROUP BY movement, from_account, to_account$$,
    $$SELECT 'entries', '', count(*) FROM %1$s$$);

-- `unexplained`: accounts whose balances their entries, or open holds, don't explain. Nothing is kept of them, so any is
-- a difference.
CREATE VIEW counted (what, label, n) AS
SELECT 'accounts', '', count(*) FROM accounts
UNION ALL SELECT 'balance', 'pending', coalesce(sum(pending), 0)::bigint FROM accounts
UNION ALL SELECT 'balance', 'available', coalesce(sum(available), 0)::bigint FROM accounts
UNION ALL SELECT 'balance', 'reserved', coalesce(sum(reserved), 0)::bigint FROM accounts
UNION ALL SELECT 'holds ' || source, state, count(*) FROM holds GROUP BY source, state
UNION ALL SELECT 'moved ' || movement, from_account || ' ' || to_account, sum(amount)::bigint FROM entries
    GROUP BY movement, from_account, to_account
UNION ALL SELECT 'entries', '', count(*) FROM entries
UNION ALL SELECT 'unexplained', 'accounts', count(*)
FROM accounts a FULL JOIN (
    SELECT rider_id, coalesce(sum(amount) FILTER (WHERE account = 'pending'), 0) AS pending,
           coalesce(sum(amount) FILTER (WHERE account = 'available'), 0) AS available,
           coalesce(sum(amount) FILTER (WHERE account = 'reserved'), 0) AS reserved
    FROM (SELECT rider_id, to_account AS account, amount FROM entries
          UNION ALL SELECT rider_id, from_account, -amount FROM entries) lines
    GROUP BY rider_id
) s USING (rider_id) FULL JOIN (
    SELECT rider_id, coalesce(sum(amount) FILTER (WHERE source = 'report'), 0) AS pending,
           coalesce(sum(amount) FILTER (WHERE source = 'redemption'), 0) AS reserved
    FROM holds WHERE state = 'held' GROUP BY rider_id
) h USING (rider_id)
WHERE (coalesce(a.pending, 0), coalesce(a.available, 0), coalesce(a.reserved, 0))
          <> (coalesce(s.pending, 0), coalesce(s.available, 0), coalesce(s.reserved, 0))
   OR (coalesce(a.pending, 0), coalesce(a.reserved, 0)) <> (coalesce(h.pending, 0), coalesce(h.reserved, 0));

-- migrate:down
-- Forward only: a later migration corrects.
