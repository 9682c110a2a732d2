-- Times that a product was shown.
select coalesce(sum(t.impressions), 0) as value
from traffic t
where t.day between {first} and {last}
