-- The partitions of ids of the last 21 days, in the schema that is put for {schema}.
SELECT {schema}.make_inbox_day(($1::timestamptz AT TIME ZONE 'UTC')::date - n) FROM generate_series(0, 22) AS n
