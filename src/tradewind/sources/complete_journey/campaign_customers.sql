SELECT campaign_id, household_id AS customer_id, _file, _row FROM addressed
