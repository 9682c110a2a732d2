-- Fees and advertising revenue less the platform's discounts and its share of commissions.
with sold as (
  select coalesce(sum(
    coalesce(l.platform_fee, 0) - coalesce(round(
      l.commission * cast(coalesce(l.commission_platform_share, 0) as decimal(18, 8)), 4
    ), 0)
    - coalesce((
      select sum(d.amount) from order_discounts d
      where d.order_id = l.order_id and d.line = l.line and d.payer = 'platform'
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
  select coalesce(sum(
    coalesce(r.subsidy_reversed, 0) - coalesce(r.fee_reversed, 0)
    + coalesce(round(
      r.commission_reversed * cast(coalesce(l.commission_platform_share, 0) as decimal(18, 8)), 4
    ), 0)
  ), 0) as value
  from refunds r
  left join order_lines l on l.order_id = r.order_id and l.line = r.line
  where r.day between {first} and {last}
),
advertised as (
  select coalesce(sum(a.spend), 0) as value
  from ads a
  where a.day between {first} and {last}
    and a.payer <> 'platform'
)
select sold.value + back.value + advertised.value as value
from sold, back, advertised
