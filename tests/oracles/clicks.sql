-- Clicks on shown products.
select coalesce(sum(t.clicks), 0) as value
from traffic t
where t.day between {first} and {last}
