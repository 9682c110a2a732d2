-- The description written most often is the title; what is written beside stock corrections is not one.
SELECT
    code AS product_id,
    mode(description ORDER BY description) AS title,
    any_value(_file) AS _file,
    min(_row) AS _row
FROM _classed
WHERE class IN ('sale', 'refund')
GROUP BY code
