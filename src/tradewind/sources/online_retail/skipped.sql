SELECT
    _file,
    _row,
    CASE
        WHEN class <> 'postage' THEN class
        WHEN invoice IN (SELECT invoice FROM _sales) THEN 'postage: it is the shipping_paid of its invoice''s first line'
        ELSE 'postage of an invoice without goods, which is apart from GMV'
    END AS reason
FROM _classed
WHERE class NOT IN ('sale', 'refund')
