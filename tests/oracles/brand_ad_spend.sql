-- Spent on advertisements by brands.
select coalesce(sum(a.spend), 0) as value
from ads a
where a.day between {first} and {last}
  and a.payer = 'brand'
