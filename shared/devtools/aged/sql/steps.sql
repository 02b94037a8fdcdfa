-- The steps of the cases of reports $1 to $2, as cases and tracking keep them.
CREATE FUNCTION aged.steps(since bigint, until bigint)
RETURNS TABLE (n bigint, case_id uuid, version bigint, step text, step_state text, of_people boolean, brought uuid,
               grid_code text, step_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT r.n, r.case_id, r.ordinal::bigint, CASE r.ordinal WHEN 1 THEN 'opened' ELSE 'attached' END, 'open', false,
           r.report_id, r.grid_code, r.joined_at
    FROM aged.reports r WHERE r.n >= since AND r.n < until AND r.routed
    UNION ALL
    SELECT r.n, r.case_id, r.report_count - 1 + s.version, s.step, s.state, true, NULL, r.grid_code,
           CASE WHEN r.ended_at IS NULL THEN r.opened_at + interval '1 minute'
                ELSE r.ended_at - (r.ended_at - r.opened_at) * s.before END
    FROM aged.reports r JOIN (VALUES
        ('closed', 2, 'claimed', 'claimed', 0.3), ('closed', 3, 'handled', 'handled', 0.2),
        ('closed', 4, 'verified', 'verified', 0.1), ('closed', 5, 'closed', 'closed', 0.0),
        ('invalid', 2, 'invalidated', 'invalid', 0.0), ('claimed', 2, 'claimed', 'claimed', 0.0)
    ) AS s (of, version, step, state, before) ON s.of = r.state
    WHERE r.n >= since AND r.n < until AND r.routed AND r.ordinal = 1
$$;
