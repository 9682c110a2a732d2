SELECT
    campaign_id,
    'Campaign ' || campaign_id AS name,
    campaign_type AS kind,
    utc(start_date) AS starts_at,
    -- The last day is a day of the campaign.
    utc(CAST(TRY_CAST(end_date AS TIMESTAMP) + INTERVAL 1 DAY AS VARCHAR)) AS ends_at,
    _file,
    _row
FROM descriptions
