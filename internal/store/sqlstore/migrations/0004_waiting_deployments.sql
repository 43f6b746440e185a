-- What asked for a deployment that waits until the service allows one, or ''; and what asked for one that was begun.
ALTER TABLE services ADD COLUMN waiting_trigger TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN triggered_by TEXT NOT NULL DEFAULT '';
CREATE INDEX services_waiting ON services (created_at, id) WHERE waiting_trigger <> '';
