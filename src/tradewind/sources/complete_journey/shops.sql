SELECT store_id AS shop_id, 'Store ' || store_id AS name, 'grocery' AS category, any_value(_file) AS _file, min(_row) AS _row
FROM transactions
GROUP BY store_id
