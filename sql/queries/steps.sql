-- name: run_get(run text, form jsonb) -> one
select body, etag from run_get($1::uuid, $2::jsonb);

-- name: run_open(run text) -> one
select ref, kind, version, may_command, incident from run_open($1::uuid);

-- name: run_attach(incident text, file jsonb) -> one
select r::text as evidence from attachment_add($1::uuid, $2::jsonb) r;

-- name: step_after(run text, path text, occ int) -> one
select coalesce((select step_view(s, r, case jsonb_typeof(v.body->'roles') when 'object' then v.body->'roles' else '{}' end) from run_step s
    where s.run_id = r.id and s.path = $2::text and s.occ = coalesce($3::int, (select max(o.occ) from run_step o where o.run_id = r.id and o.path = $2::text))),
    jsonb_build_object('run', r.id, 'status', r.status))::text as body, '/incidents/' || i.ref as location, 200 as status, i.ref as ref
from run r join incident i on i.id = r.incident_id join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version
where r.id = $1::uuid;

-- name: step_open(run text, path text, occ int, values jsonb) -> one
select occ, given as values from step_open($1::uuid, $2::text, $3::int, $4::jsonb);

-- name: step_data(run text, act text, body jsonb) -> one
select step_data($1::uuid, $2::text, $3::jsonb)::text as data;

-- name: run_sheet(run text, form jsonb) -> one
select s.body::text as body from (select run_sheet($1::uuid, $2::jsonb) as body) as s where s.body is not null;

-- name: sheet_rows(run text) -> one
select sheet_rows($1::uuid)::text as rows, '/runs/' || $1::text as location from run_duty($1::uuid);
