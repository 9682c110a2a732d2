SELECT
    basket_id AS order_id,
    line,
    transaction_timestamp AS ordered_at,
    household_id AS customer_id,
    store_id AS shop_id,
    product_id,
    quantity,
    unit_price,
    _file,
    _row
FROM _lines
