-- Attributed GMV per unit spent; not what advertisements caused.
select cast(sum(a.attributed_gmv) as double) / nullif(cast(sum(a.spend) as double), 0) as value
from ads a
where a.day between {first} and {last}
