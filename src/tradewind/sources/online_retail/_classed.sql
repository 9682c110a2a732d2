-- Every row of the invoices, and what it is. The same product is written in small and in capital letters.
SELECT
    Invoice AS invoice,
    upper(trim(StockCode)) AS code,
    nullif(trim(Description), '') AS description,
    TRY_CAST(Quantity AS BIGINT) AS pieces,
    InvoiceDate AS sold_at,
    Price AS price,
    CAST(TRY_CAST("Customer ID" AS DOUBLE) AS BIGINT)::VARCHAR AS customer_id,
    nullif(trim(Country), '') AS country,
    CASE
        WHEN _file > min(_file) OVER (PARTITION BY Invoice) THEN 'its invoice stands in an earlier file too'
        WHEN invoice LIKE 'A%' OR code = 'B' THEN 'an adjustment of bad debt, not a sale'
        WHEN code IN ('ADJUST', 'ADJUST2') THEN 'an adjustment of the accounts, not a sale'
        WHEN code = 'BANK CHARGES' THEN 'bank charges, not a sale'
        WHEN code = 'AMAZONFEE' THEN 'a fee of another marketplace, not a sale'
        WHEN code = 'CRUK' THEN 'a commission to a charity, not a sale'
        WHEN code = 'S' THEN 'samples, not a sale'
        WHEN code LIKE 'TEST0%' THEN 'a test product'
        WHEN TRY_CAST(price AS DOUBLE) = 0 AND pieces < 0 THEN 'stock written off, not a sale'
        WHEN TRY_CAST(price AS DOUBLE) = 0 AND customer_id IS NULL THEN 'stock found or given without price and customer, not a sale'
        WHEN code = 'D' THEN 'a discount credited without naming the invoice that it belongs to'
        WHEN code IN ('POST', 'DOT', 'C2', 'C3') THEN CASE WHEN pieces < 0 THEN 'postage paid back, which is apart from GMV' ELSE 'postage' END
        WHEN invoice LIKE 'C%' AND pieces > 0 THEN 'a cancelled credit note'
        WHEN invoice LIKE 'C%' OR pieces < 0 THEN 'refund'
        ELSE 'sale'
    END AS class,
    _file,
    _row
FROM invoices
