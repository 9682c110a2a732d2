-- A review is of an order: its product and shop are told where the order has only one. A review of several orders has
-- one row for each, told apart by the order.
WITH bought AS (
    SELECT
        order_id,
        CASE WHEN count(DISTINCT product_id) = 1 THEN any_value(product_id) END AS product_id,
        CASE WHEN count(DISTINCT seller_id) = 1 THEN any_value(seller_id) END AS shop_id
    FROM items
    GROUP BY order_id
)
SELECT
    CASE WHEN count(*) OVER (PARTITION BY s.review_id) > 1 THEN s.review_id || '-' || s.order_id ELSE s.review_id END
        AS review_id,
    s.order_id,
    b.product_id,
    b.shop_id,
    s.review_score AS rating,
    concat_ws(E'\n', nullif(s.review_comment_title, ''), nullif(s.review_comment_message, '')) AS text,
    utc(s.review_answer_timestamp) AS at,
    s._file,
    s._row
FROM survey AS s
LEFT JOIN bought AS b USING (order_id)
