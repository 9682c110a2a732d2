-- The same code in two campaigns is two coupons: each runs as long as its campaign.
SELECT
    c.coupon_upc || '-' || c.campaign_id AS coupon_id,
    count(DISTINCT c.product_id) || ' products' AS scope,
    utc(any_value(d.start_date)) AS starts_at,
    utc(CAST(TRY_CAST(any_value(d.end_date) AS TIMESTAMP) + INTERVAL 1 DAY AS VARCHAR)) AS ends_at,
    0 AS platform_share,
    -- Manufacturers pay the coupon; the store's match is a discount of its own.
    1 AS brand_share,
    any_value(c._file) AS _file,
    min(c._row) AS _row
FROM coupon_products AS c
LEFT JOIN descriptions AS d USING (campaign_id)
GROUP BY c.coupon_upc, c.campaign_id
