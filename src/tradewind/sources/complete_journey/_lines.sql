-- Every transaction row that is a sale: pieces or money changed hands.
-- gross is what the shelf price asks: what the store took, and what it gave away itself. The coupons of manufacturers
-- are paid back to the store, so sales_value holds them already.
-- Fuel is counted in thousandths of a gallon and a few rows have money without pieces: these are one piece at their amount.
SELECT
    t.basket_id,
    t.household_id,
    t.store_id,
    t.product_id,
    t.transaction_timestamp,
    row_number() OVER (PARTITION BY t.basket_id ORDER BY t._row) AS line,
    CASE
        WHEN TRY_CAST(t.quantity AS BIGINT) = 0 OR c.department = 'FUEL' OR c.product_type LIKE 'GASOLINE%' THEN '1'
        ELSE t.quantity
    END AS quantity,
    TRY_CAST(t.sales_value AS DECIMAL(18, 2)) AS sales,
    TRY_CAST(t.retail_disc AS DECIMAL(18, 2)) AS retail,
    TRY_CAST(t.coupon_disc AS DECIMAL(18, 2)) AS coupon,
    TRY_CAST(t.coupon_match_disc AS DECIMAL(18, 2)) AS coupon_match,
    sales + retail + coupon_match AS gross,
    -- Rounded up at the fourth decimal; what that adds is given back as the discount "rounding", so that no cent is lost.
    ceil(gross * 10000 / nullif(TRY_CAST(
        CASE
            WHEN TRY_CAST(t.quantity AS BIGINT) = 0 OR c.department = 'FUEL' OR c.product_type LIKE 'GASOLINE%' THEN '1'
            ELSE t.quantity
        END AS DECIMAL(18, 0)
    ), 0)) / 10000 AS unit_price,
    t._file,
    t._row
FROM transactions AS t
LEFT JOIN catalogue AS c USING (product_id)
WHERE coalesce(TRY_CAST(t.quantity AS BIGINT) <> 0 OR TRY_CAST(t.sales_value AS DECIMAL(18, 2)) <> 0, true)
