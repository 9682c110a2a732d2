-- Every transaction row that is a sale: pieces or money changed hands.
-- gross is what the shelf price asks: what the store took, and what it gave away itself. The coupons of manufacturers
-- are paid back to the store, so sales_value holds them already.
-- Fuel is counted in thousandths of a gallon and a few rows have money without pieces: these are one piece at their amount.
WITH sales AS (
    SELECT
        t.* EXCLUDE (quantity),
        CASE
            WHEN TRY_CAST(t.quantity AS BIGINT) = 0 OR c.department = 'FUEL' OR c.product_type LIKE 'GASOLINE%' THEN '1'
            ELSE t.quantity
        END AS quantity,
        number(t.retail_disc) AS retail,
        number(t.coupon_disc) AS coupon,
        number(t.coupon_match_disc) AS coupon_match,
        CAST(number(t.sales_value) + retail + coupon_match AS DECIMAL(18, 4)) AS gross
    FROM transactions AS t
    LEFT JOIN catalogue AS c USING (product_id)
    WHERE coalesce(TRY_CAST(t.quantity AS BIGINT) <> 0 OR number(t.sales_value) <> 0, true)
)
SELECT
    basket_id,
    household_id,
    store_id,
    product_id,
    transaction_timestamp,
    row_number() OVER (PARTITION BY basket_id ORDER BY _row) AS line,
    quantity,
    nullif(TRY_CAST(quantity AS BIGINT), 0) AS pieces,
    retail,
    coupon,
    coupon_match,
    gross,
    -- Rounded up at the fourth decimal; what that adds is given back as the discount "rounding", so that no cent is lost.
    CAST((CAST(gross * 10000 AS BIGINT) + pieces - 1) // pieces AS DECIMAL(14, 0)) * CAST('0.0001' AS DECIMAL(4, 4))
        AS unit_price,
    CAST(unit_price * CAST(pieces AS DECIMAL(9, 0)) - gross AS DECIMAL(18, 4)) AS rounding,
    _file,
    _row
FROM sales
