-- Discounts on paid lines, whoever funds them.
select coalesce(sum(d.amount), 0) as value
from order_discounts d
join order_lines l on l.order_id = d.order_id and l.line = d.line
where l.day between {first} and {last}
  and exists (
    select 1 from order_status s
    where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
  )
