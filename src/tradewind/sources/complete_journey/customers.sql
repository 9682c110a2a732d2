WITH seen AS (
    SELECT household_id, _file, _row FROM transactions
    UNION ALL
    SELECT household_id, _file, _row FROM addressed
)
SELECT
    household_id AS customer_id,
    to_json({
        'age': age,
        'income': income,
        'home_ownership': home_ownership,
        'marital_status': marital_status,
        'household_size': household_size,
        'household_comp': household_comp,
        'kids_count': kids_count
    }) AS attributes,
    _file,
    _row
FROM demographics
UNION ALL
SELECT household_id, NULL, any_value(_file), min(_row)
FROM seen ANTI JOIN demographics USING (household_id)
GROUP BY household_id
