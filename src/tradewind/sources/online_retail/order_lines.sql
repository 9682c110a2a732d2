-- Postage, of whatever kind, is paid by the buyer of the invoice: it stands on its first line.
WITH postage AS (
    SELECT invoice, sum(number(price) * pieces) AS paid FROM _classed WHERE class = 'postage' GROUP BY invoice
)
SELECT
    s.invoice AS order_id,
    s.line,
    s.moment_utc AS ordered_at,
    s.customer_id,
    'online-retail' AS shop_id,
    s.code AS product_id,
    s.pieces AS quantity,
    s.price AS unit_price,
    CASE WHEN s.line = 1 THEN coalesce(p.paid, 0) ELSE 0 END AS shipping_paid,
    s._file,
    s._row
FROM _sales AS s
LEFT JOIN postage AS p USING (invoice)
