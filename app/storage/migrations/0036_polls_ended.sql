-- The worker asks twice a second which polls ended lately.
CREATE INDEX ON polls (ended_at);
