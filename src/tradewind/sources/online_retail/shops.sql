SELECT 'online-retail' AS shop_id, 'Online Retail' AS name, 'gifts' AS category, any_value(_file) AS _file, min(_row) AS _row
FROM invoices
