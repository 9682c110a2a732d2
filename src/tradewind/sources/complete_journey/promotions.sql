-- Week 1 began on Monday 26 December 2016. The codes are those of the dataset's guide.
SELECT
    product_id,
    store_id AS shop_id,
    DATE '2016-12-26' + CAST(7 * (TRY_CAST(week AS INTEGER) - 1) AS INTEGER) AS starts_on,
    DATE '2016-12-26' + CAST(7 * (TRY_CAST(week AS INTEGER) - 1) + 6 AS INTEGER) AS ends_on,
    CASE
        WHEN display_location = '0' THEN 'mailer'
        WHEN mailer_location = '0' THEN 'display'
        ELSE 'display and mailer'
    END AS kind,
    concat_ws(
        '; ',
        CASE display_location
            WHEN '0' THEN NULL
            WHEN '1' THEN 'store front'
            WHEN '2' THEN 'store rear'
            WHEN '3' THEN 'front end cap'
            WHEN '4' THEN 'mid-aisle end cap'
            WHEN '5' THEN 'rear end cap'
            WHEN '6' THEN 'side-aisle end cap'
            WHEN '7' THEN 'in-aisle'
            WHEN '9' THEN 'secondary location display'
            WHEN 'A' THEN 'in-shelf'
            ELSE 'display ' || display_location
        END,
        CASE mailer_location
            WHEN '0' THEN NULL
            WHEN 'A' THEN 'interior page feature'
            WHEN 'C' THEN 'interior page line item'
            WHEN 'D' THEN 'front page feature'
            WHEN 'F' THEN 'back page feature'
            WHEN 'H' THEN 'wrap front feature'
            WHEN 'J' THEN 'wrap interior coupon'
            WHEN 'L' THEN 'wrap back feature'
            WHEN 'P' THEN 'interior page coupon'
            WHEN 'X' THEN 'free on interior page'
            WHEN 'Z' THEN 'free on front page, back page or wrap'
            ELSE 'mailer ' || mailer_location
        END
    ) AS placement,
    _file,
    _row
FROM placements
ANTI JOIN _weaker_placements USING (_file, _row)
