-- Unit cost of what was sold and not put back on sale.
select coalesce(sum(
  l.unit_cost * (l.quantity - coalesce((
    select sum(r.quantity) from refunds r
    where r.order_id = l.order_id and r.line = l.line and r.restocked
  ), 0))
), 0) as value
from order_lines l
where l.day between {first} and {last}
  and exists (
    select 1 from order_status s
    where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
  )
