-- Titles are not published; a product belongs to a shop where only one ever sold it.
WITH sold AS (
    SELECT product_id, CASE WHEN count(DISTINCT seller_id) = 1 THEN any_value(seller_id) END AS seller_id
    FROM items
    GROUP BY product_id
)
SELECT
    c.product_id,
    s.seller_id AS shop_id,
    c.product_category_name AS category,
    to_json({
        'photos': TRY_CAST(c.product_photos_qty AS DOUBLE),
        'title_length': TRY_CAST(c.product_name_lenght AS DOUBLE),
        'description_length': TRY_CAST(c.product_description_lenght AS DOUBLE),
        'weight_g': TRY_CAST(c.product_weight_g AS DOUBLE),
        'length_cm': TRY_CAST(c.product_length_cm AS DOUBLE),
        'height_cm': TRY_CAST(c.product_height_cm AS DOUBLE),
        'width_cm': TRY_CAST(c.product_width_cm AS DOUBLE)
    }) AS attributes,
    c._file,
    c._row
FROM catalogue AS c
LEFT JOIN sold AS s USING (product_id)
