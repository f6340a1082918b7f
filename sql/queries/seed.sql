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

-- name: demo_open() -> many
-- Open sample incidents and drills that no playbook runs for yet, with the one that fits.
SELECT i.id AS incident, f.playbook FROM incident i
  CROSS JOIN LATERAL (SELECT playbook_fitting(ARRAY(SELECT s.slug FROM incident_service x JOIN service s ON s.id = x.service_id WHERE x.incident_id = i.id)) AS playbook) f
  WHERE i.state = 'open' AND i.commander_id IS NOT NULL AND f.playbook IS NOT NULL AND NOT EXISTS (SELECT FROM run r WHERE r.incident_id = i.id)
  ORDER BY i.declared_at;

-- name: demo_act(incident uuid) -> one
-- The commander of an incident is the one who acts in this transaction.
SELECT set_config('muster.me', i.commander_id::text, true) AS me,
    set_config('muster.roles', array_to_string(roles_effective(ARRAY(SELECT r.role FROM person_role r WHERE r.person_id = i.commander_id)), ' '), true) AS roles
  FROM incident i WHERE i.id = $1::uuid;

-- name: demo_run(incident uuid, playbook text) -> one
SELECT run_prepare($1::uuid, $2::text) AS run;

-- name: demo_run_data(run uuid) -> one
SELECT run_start_data($1::uuid) AS data;
