SELECT campaign_id, product_id, any_value(_file) AS _file, min(_row) AS _row
FROM coupon_products
GROUP BY campaign_id, product_id
