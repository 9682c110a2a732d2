-- The line that a refund belongs to: the last one before it of the same customer and product with as many pieces, as long
-- as the refunds of that line do not exceed its pieces. The files do not name it, so the others stay without an order.
WITH candidates AS (
    SELECT
        r._file AS refund_file,
        r._row AS refund_row,
        -r.pieces AS back,
        s.invoice,
        s.line,
        s.pieces,
        row_number() OVER (PARTITION BY r._file, r._row ORDER BY s.sold_at DESC, s._file DESC, s._row DESC) AS rank
    FROM _classed AS r
    JOIN _sales AS s
        ON s.customer_id = r.customer_id AND s.code = r.code AND s.sold_at <= r.sold_at AND s.pieces >= -r.pieces
    WHERE r.class = 'refund'
)
SELECT
    refund_file,
    refund_row,
    invoice,
    line,
    sum(back) OVER (PARTITION BY invoice, line ORDER BY refund_file, refund_row ROWS UNBOUNDED PRECEDING) <= pieces AS fits
FROM candidates
WHERE rank = 1
