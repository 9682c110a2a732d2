-- Spent on advertisements by others than the platform; spending by nobody known does not count.
select coalesce(sum(a.spend), 0) as value
from ads a
where a.day between {first} and {last}
  and a.payer <> 'platform'
