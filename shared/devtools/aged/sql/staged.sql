ALTER TABLE aged.reports ADD PRIMARY KEY (n);

ANALYZE aged.reports, aged.movements;
