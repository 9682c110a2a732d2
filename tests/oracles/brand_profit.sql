-- Less the discounts and advertising that brands fund; what they earn on the goods is not known.
with sold as (
  select coalesce(sum(-d.amount), 0) as value
  from order_discounts d
  join order_lines l on l.order_id = d.order_id and l.line = d.line
  where d.payer = 'brand'
    and l.day between {first} and {last}
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
),
advertised as (
  select coalesce(sum(-a.spend), 0) as value
  from ads a
  where a.day between {first} and {last}
    and a.payer = 'brand'
)
select sold.value + advertised.value as value
from sold, advertised
