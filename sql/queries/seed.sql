-- Used by `muster seed`.

-- name: playbook_known(slug text) -> one
SELECT EXISTS (SELECT FROM playbook p JOIN playbook_version v ON v.playbook_id = p.id WHERE p.slug = $1::text) AS known;

-- name: runs_of(ref text) -> many
-- The runs of an incident or drill, or the one run of that id. Used by `muster audit verify-run`.
SELECT r.id FROM run r LEFT JOIN incident i ON i.id = r.incident_id WHERE i.ref = $1::text OR r.id::text = $1::text ORDER BY r.created_at;

-- name: settings_configured(conf jsonb) -> exec
-- What the configuration file says about the site; used where no setting of the same name was made on the settings page.
INSERT INTO setting(key, value) VALUES ('conf', $1::jsonb)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_at = clock_timestamp() WHERE setting.value IS DISTINCT FROM excluded.value;
