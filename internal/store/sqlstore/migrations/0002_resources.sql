-- Auto scaling configurations, observability configurations, connections, VPC connectors and VPC ingress connections.
CREATE TABLE resources (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    arn        TEXT NOT NULL,
    status     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    service_id TEXT NOT NULL,
    tags       TEXT NOT NULL,
    detail     TEXT NOT NULL,
    is_default BOOLEAN NOT NULL
);

CREATE UNIQUE INDEX resources_arn ON resources (arn);
-- A deleted resource leaves its name free.
CREATE UNIQUE INDEX resources_name ON resources (kind, name, revision) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX resources_default ON resources (kind) WHERE is_default;
CREATE INDEX resources_listing ON resources (kind, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX resources_revisions ON resources (kind, name, revision);
CREATE INDEX resources_of_service ON resources (service_id) WHERE service_id <> '' AND deleted_at IS NULL;
CREATE INDEX resources_deleted ON resources (deleted_at) WHERE deleted_at IS NOT NULL;

-- Which resources the services that are there refer to, by ARN.
CREATE TABLE service_uses (
    arn        TEXT NOT NULL,
    service_id TEXT NOT NULL REFERENCES services (id),
    PRIMARY KEY (arn, service_id)
);

CREATE INDEX service_uses_of_service ON service_uses (service_id);

CREATE TABLE custom_domains (
    id         TEXT PRIMARY KEY,
    service_id TEXT NOT NULL REFERENCES services (id),
    name       TEXT NOT NULL,
    has_www    BOOLEAN NOT NULL,
    status     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    records    TEXT NOT NULL
);

CREATE UNIQUE INDEX custom_domains_name ON custom_domains (name);
CREATE INDEX custom_domains_listing ON custom_domains (service_id, created_at DESC, id DESC);
