SELECT
    seller_id AS shop_id,
    'Seller ' || left(seller_id, 8) || ', ' || seller_city AS name,
    seller_state AS region,
    _file,
    _row
FROM sellers
