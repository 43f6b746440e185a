-- What the image was built from besides the commit: the runtime's name, and a hash of all that matters; both '' where a build
-- of the same commit is not to be skipped.
ALTER TABLE revisions ADD COLUMN runtime TEXT NOT NULL DEFAULT '';
ALTER TABLE revisions ADD COLUMN build_key TEXT NOT NULL DEFAULT '';
