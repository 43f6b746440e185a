ALTER TABLE operations ADD COLUMN cancel_asked_at BIGINT;
-- The revision that an update goes back to, or ''.
ALTER TABLE operations ADD COLUMN rolls_back_to TEXT NOT NULL DEFAULT '';
