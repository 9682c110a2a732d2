SELECT customer_id, arg_max(country, sold_at) AS region, any_value(_file) AS _file, min(_row) AS _row
FROM _classed
WHERE customer_id IS NOT NULL
GROUP BY customer_id
