-- Reports to regulators.

-- name: report_begin(incident uuid, profile text, stage text, run uuid, path text, occ int, next boolean, by_hand boolean) -> one
select report_begin($1::uuid, $2::text, $3::text, $4::uuid, $5::text, $6::int, $7::boolean, $8::boolean) as id;

-- name: report_work(incident uuid, report uuid) -> many
select id, stage, profile, facts, anchors from report_work($1::uuid, $2::uuid);

-- name: report_write(report uuid, found jsonb) -> exec
select report_write($1::uuid, $2::jsonb);

-- name: report_due() -> many
select report_due() as id;

-- name: report_profile_of(incident uuid, profile text) -> many
-- The newest profile with what is known now; nothing once the incident is over, for then nothing repeats.
select p.body as profile, incident_facts_known(i) as facts, report_anchors(i, p.id, null) as anchors
  from incident i, report_profile p
 where i.id = $1::uuid and i.state in ('open','mitigated') and p.id = $2::text order by p.version desc limit 1;

-- name: report_may_open(incident text) -> one
select report_may_open($1::text) as incident;

-- name: report_incident_ref(report text) -> one
select i.ref from report r join incident i on i.id = r.incident_id where r.ref = $1::text;

-- name: reports(state text, profile text, cursor text, limit int) -> one
select l.body::text as body, l.next from report_list($1::text, $2::text, $3::text, $4::int) l;

-- name: incident_reports(incident text) -> one
select report_of_incident($1::text)::text as body;

-- name: report_get(report text, form jsonb) -> one
select report_overlay(r, $2::jsonb)::text as body, r ->> 'etag' as etag from report_get($1::text) r;

-- name: report_created(report uuid) -> one
select report_get(r.ref)::text as body, r.version as etag, 201 as status, '/reports/' || r.ref as location from report r where r.id = $1::uuid;

-- name: report_changed(report text) -> one
select report_get(r.ref)::text as body, r.version as etag, '/reports/' || r.ref as location from report r where r.ref = $1::text;

-- name: report_fields_save(report text, etag text, body jsonb) -> one
select e ->> 'etag' as etag, e::text as body, '/reports/' || $1::text as location from report_edit($1::text, $2::text, $3::jsonb) e;

-- name: report_facts_save(report text, body jsonb) -> one
select report_facts($1::text, $2::jsonb) as incident;

-- name: report_approve(report text, etag text, body jsonb) -> one
select a.ref, open_run(a.run_id, a.path, a.occ) as run, a.path, a.occ from report_approve($1::text, $2::text, $3::jsonb) a;

-- name: report_reopen(report text, etag text, body jsonb) -> one
select a.ref, a.incident_id as incident, open_run(a.run_id, a.path, a.occ) as run, a.path, a.occ from report_reopen($1::text, $2::text, $3::jsonb) a;

-- name: report_send(report text, etag text, body jsonb) -> one
select a.ref, a.incident_id as incident, a.profile from report_send($1::text, $2::text, $3::jsonb) a;

-- name: report_file(report text, etag text, body jsonb) -> one
select a.ref, a.incident_id as incident, a.profile, open_run(a.run_id, a.path, a.occ) as run, a.path, a.occ, iso(a.filed_at) as filed_at
  from report_file($1::text, $2::text, $3::jsonb) a;

-- name: report_decline(report text, etag text, body jsonb) -> one
select a.ref from report_decline($1::text, $2::text, $3::jsonb) a;

-- name: report_document(report text) -> one
select report_document($1::text)::text as body;

-- name: report_order(report text, format text) -> one
select (report_job(j) || jsonb_build_object('ref', $1::text))::text as body, 202 as status, '/reports/' || $1::text || '/documents/' || j.kind as location
  from report_order($1::text, $2::text) j;

-- name: report_download(report text, format text) -> one
select body, status, media, file_name from report_download($1::text, $2::text);
