-- Clicks as a share of impressions.
select cast(sum(t.clicks) as double) / nullif(cast(sum(t.impressions) as double), 0) as value
from traffic t
where t.day between {first} and {last}
