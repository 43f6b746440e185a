ALTER TABLE operations ADD COLUMN cancel_asked_at BIGINT;
