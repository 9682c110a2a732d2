-- Gross sales per piece.
with sold as (
  select
    coalesce(sum(l.quantity * l.unit_price), 0) as gross_sales,
    coalesce(sum(l.quantity), 0) as items
  from order_lines l
  where l.day between {first} and {last}
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
)
select cast(gross_sales as double) / nullif(cast(items as double), 0) as value
from sold
