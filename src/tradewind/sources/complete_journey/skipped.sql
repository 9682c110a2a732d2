SELECT
    _file,
    _row,
    CASE
        WHEN TRY_CAST(coupon_disc AS DOUBLE) > 0 THEN 'a coupon scanned by itself: no piece was sold and no money taken'
        ELSE 'neither a piece was sold nor money taken'
    END AS reason
FROM transactions
WHERE TRY_CAST(quantity AS BIGINT) = 0 AND number(sales_value) = 0
UNION ALL
SELECT _file, _row, 'the same week in the same mailer is told by another row that also names the display'
FROM _weaker_placements
