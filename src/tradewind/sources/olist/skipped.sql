SELECT _file, _row, 'an order without items: it was cancelled, unavailable or never completed' AS reason
FROM orders ANTI JOIN items USING (order_id)
