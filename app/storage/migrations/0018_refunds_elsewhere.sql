-- A refund that somebody made at the provider's own desk: nobody asked us for it, and it has the provider's id.
ALTER TABLE refunds ALTER by_account_id DROP NOT NULL;
