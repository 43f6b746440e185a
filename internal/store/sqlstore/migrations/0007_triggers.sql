-- The commit or digest that the newest deployment of a service found its source to mean, and the one that a waiting
-- deployment is for; '' where it is not known.
ALTER TABLE services ADD COLUMN found TEXT NOT NULL DEFAULT '';
ALTER TABLE services ADD COLUMN waiting_for TEXT NOT NULL DEFAULT '';
-- The change of the source for which was decided last whether it is deployed by itself.
ALTER TABLE services ADD COLUMN considered TEXT NOT NULL DEFAULT '';
-- The sealed secret of the service's webhook, or ''.
ALTER TABLE services ADD COLUMN webhook TEXT NOT NULL DEFAULT '';
