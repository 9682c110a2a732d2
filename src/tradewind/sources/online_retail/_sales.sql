SELECT
    *,
    row_number() OVER (PARTITION BY invoice ORDER BY _row) AS line,
    utc(sold_at) AS moment_utc
FROM _classed
WHERE class = 'sale'
