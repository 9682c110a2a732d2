-- Merchants' contribution profit as a share of GMV.
with profit as (
  with sold as (
    select coalesce(sum(
      l.quantity * l.unit_price - coalesce((
        select sum(d.amount) from order_discounts d
        where d.order_id = l.order_id and d.line = l.line and d.payer = 'merchant'
      ), 0)
      - coalesce(l.unit_cost * (l.quantity - coalesce((
        select sum(r.quantity) from refunds r
        where r.order_id = l.order_id and r.line = l.line and r.restocked
      ), 0)), 0)
      - coalesce(l.commission, 0) + coalesce(round(
        l.commission * cast(coalesce(l.commission_platform_share, 0) as decimal(18, 8)), 4
      ), 0)
      - coalesce(l.platform_fee, 0) - coalesce(l.payment_fee, 0)
      + coalesce(l.shipping_paid, 0) - coalesce(l.shipping_cost, 0)
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
      coalesce(r.commission_reversed, 0) - coalesce(round(
        r.commission_reversed * cast(coalesce(l.commission_platform_share, 0) as decimal(18, 8)), 4
      ), 0)
      + coalesce(r.fee_reversed, 0) - r.amount - coalesce(r.subsidy_reversed, 0) - coalesce(r.return_shipping, 0)
    ), 0) as value
    from refunds r
    left join order_lines l on l.order_id = r.order_id and l.line = r.line
    where r.day between {first} and {last}
  ),
  advertised as (
    select coalesce(sum(-a.spend), 0) as value
    from ads a
    where a.day between {first} and {last}
      and a.payer = 'merchant'
  )
  select sold.value + back.value + advertised.value as value
  from sold, back, advertised
),
gmv as (
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
)
select cast(profit.value as double) / nullif(cast(gmv.value as double), 0) as value
from profit, gmv
