-- Where a product has two rows for one store, week and mailer place, and one of them names no display, the other tells more.
SELECT a._file, a._row
FROM placements AS a
SEMI JOIN (
    SELECT product_id, store_id, week, mailer_location
    FROM placements
    WHERE display_location <> '0' AND mailer_location <> '0'
) AS b USING (product_id, store_id, week, mailer_location)
WHERE a.display_location = '0'
