-- The coupon behind a coupon discount: the one that the household redeemed on that local day for that product, where only
-- one fits.
SELECT
    l.basket_id,
    l.line,
    any_value(r.coupon_upc || '-' || r.campaign_id) AS coupon_id,
    any_value(r.campaign_id) AS campaign_id
FROM redemptions AS r
JOIN coupon_products AS c USING (coupon_upc, campaign_id)
JOIN _lines AS l
    ON l.household_id = r.household_id
    AND l.product_id = c.product_id
    AND CAST(TRY_CAST(local_time(l.transaction_timestamp) AS TIMESTAMP) AS DATE) = TRY_CAST(r.redemption_date AS DATE)
WHERE l.coupon > 0
GROUP BY l.basket_id, l.line
HAVING count(DISTINCT (r.coupon_upc, r.campaign_id)) = 1
