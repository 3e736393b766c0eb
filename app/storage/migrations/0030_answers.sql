-- Answers that a show gives by itself: to which keywords, and when it gave each last (rule '': any of them).
CREATE TABLE answer_rules (
    show_id text PRIMARY KEY REFERENCES shows,
    rules jsonb NOT NULL
);
CREATE TABLE answer_turns (
    show_id text NOT NULL REFERENCES shows,
    rule text NOT NULL,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (show_id, rule)
);
