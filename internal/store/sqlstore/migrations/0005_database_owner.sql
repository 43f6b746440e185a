-- The apron on whose machine the instances are: one row, or none before the first has come.
CREATE TABLE database_owner (
    one  BIGINT PRIMARY KEY CHECK (one = 1),
    id   TEXT NOT NULL,
    host TEXT NOT NULL
);
