-- Commission less what was taken back and the discounts and advertising that creators fund.
with sold as (
  select coalesce(sum(
    coalesce(l.commission, 0) - coalesce((
      select sum(d.amount) from order_discounts d
      where d.order_id = l.order_id and d.line = l.line and d.payer = 'creator'
    ), 0)
  ), 0) as value
  from order_lines l
  where l.day between {first} and {last}
    and exists (
      select 1 from order_status s
      where s.order_id = l.order_id and s.line = l.line and s.status = 'paid'
    )
),
back as (
  select coalesce(sum(-r.commission_reversed), 0) as value
  from refunds r
  where r.day between {first} and {last}
),
advertised as (
  select coalesce(sum(-a.spend), 0) as value
  from ads a
  where a.day between {first} and {last}
    and a.payer = 'creator'
)
select sold.value + back.value + advertised.value as value
from sold, back, advertised
