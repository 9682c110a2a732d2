-- Products that are sold or on coupons without being in the catalogue are known by their number only.
WITH named AS (
    SELECT product_id, _file, _row FROM transactions
    UNION ALL
    SELECT product_id, _file, _row FROM coupon_products
)
SELECT
    product_id,
    concat_ws(', ', coalesce(product_type, product_category, department), package_size) AS title,
    concat_ws(
        '/', replace(department, '/', '-'), replace(product_category, '/', '-'), replace(product_type, '/', '-')
    ) AS category,
    'Manufacturer ' || manufacturer_id AS brand,
    to_json({'label': brand, 'package_size': package_size}) AS attributes,
    _file,
    _row
FROM catalogue
UNION ALL
SELECT product_id, NULL, NULL, NULL, NULL, any_value(_file), min(_row)
FROM named ANTI JOIN catalogue USING (product_id)
GROUP BY product_id
