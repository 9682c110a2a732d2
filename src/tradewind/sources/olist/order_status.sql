-- An order has its steps on each of its lines. Three delivered orders lack the moment of payment: it is taken to be the
-- next one known. The moment of a cancellation is not told: it is taken to be the last one known.
WITH steps AS (
    SELECT order_id, order_purchase_timestamp AS at_local, 'placed' AS status, _file, _row FROM orders
    UNION ALL
    SELECT
        order_id,
        coalesce(
            nullif(order_approved_at, ''),
            nullif(order_delivered_carrier_date, ''),
            nullif(order_delivered_customer_date, ''),
            order_purchase_timestamp
        ),
        'paid',
        _file,
        _row
    FROM orders
    WHERE order_approved_at <> '' OR order_status IN ('delivered', 'shipped', 'invoiced', 'processing', 'approved')
    UNION ALL
    SELECT order_id, order_delivered_carrier_date, 'shipped', _file, _row FROM orders WHERE order_delivered_carrier_date <> ''
    UNION ALL
    SELECT order_id, order_delivered_customer_date, 'delivered', _file, _row
    FROM orders
    WHERE order_delivered_customer_date <> ''
    UNION ALL
    SELECT
        order_id,
        greatest(
            order_purchase_timestamp,
            nullif(order_approved_at, ''),
            nullif(order_delivered_carrier_date, ''),
            nullif(order_delivered_customer_date, '')
        ),
        'cancelled',
        _file,
        _row
    FROM orders
    WHERE order_status IN ('canceled', 'unavailable')
)
SELECT s.order_id, i.order_item_id AS line, utc(s.at_local) AS at, s.status, s._file, s._row
FROM steps AS s
JOIN items AS i USING (order_id)
