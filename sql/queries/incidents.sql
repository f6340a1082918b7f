-- name: incident_list(kind text, state text, severity text, service text, q text, cursor text, limit int) -> one
select body, next from incident_list($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::int);

-- name: declare_page(form jsonb) -> one
select declare_page($1::jsonb) as body;

-- name: incident_declare(body jsonb) -> one
select r->>'ref' as ref, r->>'run' as run, r->>'incident' as incident, r->>'start' as start from incident_declare($1::jsonb) r;

-- name: incident_declared(ref text) -> one
select incident_brief(i.id)::text as body, incident_etag(i) as etag, 201 as status, '/incidents/' || i.ref || '/receipt' as location
from incident i where i.ref = $1::text;

-- name: incident_receipt(incident text) -> one
select body, etag from incident_receipt($1::text);

-- name: incident_get(incident text) -> one
select body, etag from incident_get($1::text);

-- name: incident_plain(incident text) -> one
select ((body::jsonb - '{timeline,people,service_choices,playbooks,role_choices}'::text[])
  || jsonb_build_object('latest', jsonb_path_query_array(body::jsonb, '$.timeline[0 to 9]')))::text as body from incident_get($1::text);

-- name: incident_note(incident text, body jsonb) -> one
select r::text as body, 201 as status, '/incidents/' || $1::text as location from note_add($1::text, $2::jsonb) r;

-- name: incident_severity(incident text, etag text, body jsonb) -> one
select r::text as body, r->>'etag' as etag, '/incidents/' || $1::text as location, 200 as status, r->>'runs' as runs, r->>'from' as was,
  jsonb_build_object('kind', 'user', 'id', me(), 'name', person_label(me()), 'commander', true)::text as actor
from incident_severity($1::text, $2::text, $3::jsonb) r;

-- name: incident_state(incident text, etag text, body jsonb) -> one
select r::text as body, r->>'etag' as etag, '/incidents/' || $1::text as location, 200 as status from incident_state($1::text, $2::text, $3::jsonb) r;

-- name: incident_handover(incident text, etag text, body jsonb) -> one
select r::text as body, r->>'etag' as etag, '/incidents/' || $1::text as location, 200 as status, r->>'runs' as runs, r->>'role' as role, r->>'people' as people,
  r->>'why' as why, jsonb_build_object('kind', 'user', 'id', me(), 'name', person_label(me()), 'commander', true)::text as actor
from incident_handover($1::text, $2::text, $3::jsonb) r;

-- name: incident_roles(incident text, body jsonb) -> one
select r::text as body, r->>'etag' as etag, '/incidents/' || $1::text as location, 200 as status, r->>'runs' as runs, r->>'role' as role, r->>'people' as people,
  r->>'why' as why, jsonb_build_object('kind', 'user', 'id', me(), 'name', person_label(me()), 'commander', true)::text as actor
from incident_roles($1::text, $2::jsonb) r;

-- name: incident_services(incident text, body jsonb) -> one
select r::text as body, r->>'etag' as etag, '/incidents/' || $1::text as location, 200 as status from incident_services($1::text, $2::jsonb) r;

-- name: incident_next_update(incident text, body jsonb) -> one
select r::text as body, r->>'etag' as etag, '/incidents/' || $1::text as location, 200 as status from incident_next_update($1::text, $2::jsonb) r;

-- name: incident_facts(incident text, body jsonb) -> one
select r::text as body, r->>'etag' as etag, '/incidents/' || $1::text as location, 200 as status from incident_facts($1::text, $2::jsonb) r;

-- name: incident_run(incident text, body jsonb) -> one
select r->>'ref' as ref, r->>'run' as run, r->>'start' as start from incident_run($1::text, $2::jsonb) r;

-- name: incident_attachment(incident text, file jsonb) -> one
select r::text as body, 201 as status, '/incidents/' || $1::text as location
from incident_lock($1::text) i, attachment_add(i.id, $2::jsonb) r;

-- name: incident_export(incident text) -> one
select body, media, file_name from incident_export($1::text);

-- name: incident_csv(incident text) -> one
select body, media, file_name from incident_csv($1::text);

-- name: incident_print(incident text) -> one
select incident_print($1::text) as body;

-- name: run_started(run text) -> one
select jsonb_build_object('run', r.id, 'playbook', p.slug, 'version', r.playbook_version, 'status', r.status, 'incident', i.ref)::text as body, 201 as status,
  '/incidents/' || i.ref as location
from run r join playbook p on p.id = r.playbook_id join incident i on i.id = r.incident_id where r.id = $1::uuid;

-- name: attachment_get(id text) -> one
select body, media, file_name from attachment_get($1::uuid);

-- name: incident_real(incident text, body jsonb) -> one
select r->>'ref' as ref, r->>'run' as run, r->>'incident' as incident, r->>'start' as start, r->>'runs' as runs, r->>'stop' as stop from incident_real($1::text, $2::jsonb) r;
