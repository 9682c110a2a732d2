-- Campaigns of type B and C send every coupon to every household that they address. Type A picks 16 from its pool for
-- each household and the files do not tell which, so of type A only the redeemed ones are known.
WITH sent AS (
    SELECT DISTINCT a.household_id, c.coupon_upc, a.campaign_id, a._file, a._row
    FROM addressed AS a
    JOIN descriptions AS d USING (campaign_id)
    JOIN coupon_products AS c USING (campaign_id)
    WHERE d.campaign_type <> 'Type A'
),
-- The basket of a redemption: one of that household on that local day, first with the coupon's product and a coupon
-- discount on it, else with any coupon discount, else the first of the day. A few hold nothing but coupons and so are no
-- orders.
baskets AS (
    SELECT
        r.household_id,
        r.coupon_upc,
        r.campaign_id,
        r._file,
        r._row,
        arg_min(
            l.basket_id,
            (
                CASE
                    WHEN number(l.coupon_disc) > 0 AND c.product_id IS NOT NULL THEN 0
                    WHEN number(l.coupon_disc) > 0 THEN 1
                    ELSE 2
                END,
                l.transaction_timestamp,
                l.basket_id
            )
        ) AS basket_id
    FROM redemptions AS r
    LEFT JOIN transactions AS l
        ON l.household_id = r.household_id
        AND CAST(TRY_CAST(local_time(l.transaction_timestamp) AS TIMESTAMP) AS DATE) = TRY_CAST(r.redemption_date AS DATE)
    LEFT JOIN coupon_products AS c
        ON c.coupon_upc = r.coupon_upc AND c.campaign_id = r.campaign_id AND c.product_id = l.product_id
    GROUP BY ALL
),
redeemed AS (
    SELECT
        household_id, coupon_upc, campaign_id, arg_min(basket_id, _row) AS basket_id, any_value(_file) AS _file, min(_row) AS _row
    FROM baskets
    GROUP BY ALL
)
SELECT
    coupon_upc || '-' || campaign_id AS coupon_id,
    household_id AS customer_id,
    utc(d.start_date) AS granted_at,
    r.basket_id AS redeemed_order_id,
    coalesce(r._file, s._file) AS _file,
    coalesce(r._row, s._row) AS _row
FROM sent AS s
FULL JOIN redeemed AS r USING (household_id, coupon_upc, campaign_id)
LEFT JOIN descriptions AS d USING (campaign_id)
