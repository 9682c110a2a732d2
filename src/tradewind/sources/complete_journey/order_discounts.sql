WITH parts AS (
    SELECT *, 1 AS n, 'merchant' AS payer, 'loyalty' AS kind, retail AS amount FROM _lines WHERE retail <> 0
    UNION ALL
    SELECT *, 2, 'brand', 'coupon', coupon FROM _lines WHERE coupon <> 0
    UNION ALL
    SELECT *, 3, 'merchant', 'coupon_match', coupon_match FROM _lines WHERE coupon_match <> 0
    UNION ALL
    SELECT *, 4, 'merchant', 'rounding', rounding FROM _lines WHERE rounding <> 0
)
SELECT
    p.basket_id AS order_id,
    p.line,
    p.n,
    p.payer,
    p.kind,
    CASE WHEN p.n IN (2, 3) THEN r.coupon_id END AS coupon_id,
    CASE WHEN p.n IN (2, 3) THEN r.campaign_id END AS campaign_id,
    p.amount,
    p._file,
    p._row
FROM parts AS p
LEFT JOIN _redeemed_lines AS r USING (basket_id, line)
