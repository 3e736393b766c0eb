-- How long before its start a sale counts down on everybody's page.
ALTER TABLE flash_sales ADD COLUMN countdown_s int NOT NULL DEFAULT 0 CHECK (countdown_s BETWEEN 0 AND 300);
