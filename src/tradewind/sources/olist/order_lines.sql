-- One row for each piece: an order of three pieces of a product has three lines.
SELECT
    i.order_id,
    i.order_item_id AS line,
    utc(o.order_purchase_timestamp) AS ordered_at,
    b.customer_unique_id AS customer_id,
    i.seller_id AS shop_id,
    i.product_id,
    1 AS quantity,
    i.price AS unit_price,
    i.freight_value AS shipping_paid,
    i._file,
    i._row
FROM items AS i
LEFT JOIN orders AS o USING (order_id)
LEFT JOIN buyers AS b USING (customer_id)
