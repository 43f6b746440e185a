CREATE TABLE services (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL,
    arn                TEXT NOT NULL,
    subdomain          TEXT NOT NULL,
    status             TEXT NOT NULL,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    deleted_at         BIGINT,
    configuration      TEXT NOT NULL,
    tags               TEXT NOT NULL,
    active_revision_id TEXT NOT NULL,
    is_serving         BOOLEAN NOT NULL
);

-- A deleted service leaves its name and its host name free.
CREATE UNIQUE INDEX services_name ON services (name) WHERE status <> 'DELETED';
CREATE UNIQUE INDEX services_subdomain ON services (subdomain) WHERE status <> 'DELETED';
CREATE INDEX services_listing ON services (created_at, id) WHERE status <> 'DELETED';

CREATE TABLE operations (
    id          TEXT PRIMARY KEY,
    service_id  TEXT NOT NULL REFERENCES services (id),
    service_arn TEXT NOT NULL,
    type        TEXT NOT NULL,
    status      TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    previous    TEXT NOT NULL,
    steps       TEXT NOT NULL,
    progress    TEXT NOT NULL,
    failure     TEXT NOT NULL,
    lease_owner TEXT NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    lease_term  BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX operations_listing ON operations (service_id, started_at DESC, id DESC, status);
CREATE UNIQUE INDEX operations_open_of_service ON operations (service_id)
    WHERE status IN ('PENDING', 'IN_PROGRESS', 'ROLLBACK_IN_PROGRESS');
CREATE INDEX operations_open ON operations (started_at, id)
    WHERE status IN ('PENDING', 'IN_PROGRESS', 'ROLLBACK_IN_PROGRESS');

CREATE TABLE revisions (
    id            TEXT PRIMARY KEY,
    service_id    TEXT NOT NULL REFERENCES services (id),
    number        BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    image         TEXT NOT NULL,
    image_digest  TEXT NOT NULL,
    commit_id     TEXT NOT NULL,
    process       TEXT NOT NULL,
    configuration TEXT NOT NULL
);

CREATE UNIQUE INDEX revisions_number ON revisions (service_id, number);
