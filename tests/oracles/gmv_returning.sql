-- GMV that customers brought after the day of their first order.
select coalesce(sum(
  l.quantity * l.unit_price - coalesce((
    select sum(d.amount) from order_discounts d
    where d.order_id = l.order_id and d.line = l.line and d.payer = 'merchant'
  ), 0)
), 0) as value
from order_lines l
where l.day between {first} and {last}
  and exists (
    select 1 from order_status s
    where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
  )
  and (
    select min(e.day) from order_lines e
    join order_status p on p.order_id = e.order_id and p.line = e.line and p.status = 'paid'
    where e.customer_id = l.customer_id
  ) < l.day
