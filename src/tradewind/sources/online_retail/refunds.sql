SELECT
    r.invoice || '-' || r._row AS refund_id,
    CASE WHEN m.fits THEN m.invoice END AS order_id,
    CASE WHEN m.fits THEN m.line END AS line,
    -r.pieces AS quantity,
    number(r.price) * -r.pieces AS amount,
    utc(r.sold_at) AS refunded_at,
    'online-retail' AS shop_id,
    r.code AS product_id,
    r.customer_id,
    r._file,
    r._row
FROM _classed AS r
LEFT JOIN _matched AS m ON m.refund_file = r._file AND m.refund_row = r._row
WHERE r.class = 'refund'
