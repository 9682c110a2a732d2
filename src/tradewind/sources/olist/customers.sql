-- Where a person lived at the last order.
SELECT
    b.customer_unique_id AS customer_id,
    arg_max(b.customer_state, coalesce(o.order_purchase_timestamp, '')) AS region,
    to_json({'city': arg_max(b.customer_city, coalesce(o.order_purchase_timestamp, ''))}) AS attributes,
    any_value(b._file) AS _file,
    min(b._row) AS _row
FROM buyers AS b
LEFT JOIN orders AS o USING (customer_id)
GROUP BY b.customer_unique_id
