-- Emergency plans.

-- name: plan_template_store(body jsonb) -> one
select plan_template_store($1::jsonb) as version;

-- name: plans(kind text, state text, q text, cursor text, limit int) -> one
select l.body::text as body, l.next from plan_list($1::text, $2::text, $3::text, $4::text, $5::int) l;

-- name: plan_new(form jsonb) -> one
select plan_new(coalesce($1::jsonb, '{}'))::text as body;

-- name: plan_create(body jsonb) -> one
select plan_page(x.slug, null)::text as body, 201 as status, '/plans/' || x.slug || '/draft' as location from (select plan_create($1::jsonb) as slug) x;

-- name: plans_export() -> one
select plans_csv() as body, 'text/csv; charset=utf-8' as media, 'plans.csv' as file_name;

-- name: plan_causes(open boolean, cursor text, limit int) -> one
select l.body::text as body, l.next from plan_causes($1::boolean, $2::text, $3::int) l;

-- name: plan_causes_export() -> one
select plan_causes_csv() as body, 'text/csv; charset=utf-8' as media, 'plan-causes.csv' as file_name;

-- name: plan_roles_export(plan text) -> one
select plan_roles_csv($1::text) as body, 'text/csv; charset=utf-8' as media, $1::text || '-roles.csv' as file_name;

-- What the page of a version needs: the document, and the playbooks whose steps stand in its sections.
-- name: plan_whole(plan text, version int) -> one
select plan_page($1::text, $2::int)::text as body, plan_playbooks(plan_version_of(plan_named($1::text), $2::int))::text as playbooks;

-- name: plan_edit(plan text, form jsonb) -> one
select d::text as body, d ->> 'etag' as etag from (select plan_edit($1::text, coalesce($2::jsonb, '{}')) as d offset 0) x;

-- name: plan_save(plan text, etag text, body jsonb) -> one
select plan_page($1::text, v.version)::text as body, plan_etag(v) as etag, '/plans/' || $1::text || '/versions/' || v.version as location from plan_save($1::text, $2::text, $3::jsonb) v;

-- Both versions of a comparison; the older one defaults to the one before the newer.
-- name: plan_pair(plan text, from int, to int) -> one
select jsonb_build_object('slug', $1::text, 'from', plan_version_line(o), 'to', plan_version_line(n), 'versions',
    (select jsonb_agg(jsonb_build_object('version', x.version, 'state', x.state, 'is_from', x.version = o.version, 'is_to', x.version = n.version) order by x.version desc) from plan_version x where x.plan_id = p.id and x.state <> 'discarded'))::text as body,
  jsonb_build_object('title', o.title, 'body', o.body)::text as older, jsonb_build_object('title', n.title, 'body', n.body)::text as newer
from plan_named($1::text) p,
  lateral plan_version_of(p, coalesce($3::int, (select max(x.version) from plan_version x where x.plan_id = p.id and x.state <> 'discarded'))) n,
  lateral plan_version_of(p, coalesce($2::int, (select max(x.version) from plan_version x where x.plan_id = p.id and x.version < n.version and x.state <> 'discarded'), n.version)) o;

-- name: plan_submit(plan text, version int, note text) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text || '/versions/' || v.version as location from plan_move($1::text, $2::int, 'submitted', $3::text) v;

-- name: plan_withdraw(plan text, version int) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text || '/versions/' || v.version as location from plan_move($1::text, $2::int, 'withdrawn', null) v;

-- name: plan_discard(plan text, version int, reason text) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text as location from plan_move($1::text, $2::int, 'discarded', $3::text) v;

-- name: plan_return(plan text, version int, reason text) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text || '/versions/' || v.version as location from plan_move($1::text, $2::int, 'returned', $3::text) v;

-- name: plan_approve(plan text, version int, body jsonb) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text as location from plan_approve($1::text, $2::int, $3::jsonb) v;

-- name: plan_cadence(plan text, body jsonb) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text as location from plan_cadence($1::text, $2::jsonb) v;

-- name: plan_review(plan text, note text) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text as location from plan_reviewed($1::text, $2::text) v;

-- name: plan_owner(plan text, owner text) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text as location from plan_owner($1::text, $2::text) v;

-- name: plan_archive(plan text, reason text) -> one
select plan_page($1::text, v.version)::text as body, '/plans/' || $1::text as location from plan_archive($1::text, $2::text) v;

-- name: plan_pack_model(plan text, role text, language text) -> one
select m.model::text as model, m.playbooks::text as playbooks from plan_pack_model($1::text, $2::text, $3::text) m;

-- name: plan_pack_store(plan text, model jsonb) -> one
select plan_pack_get(x.code)::text as body, 201 as status, '/plan-packs/' || x.code as location from (select plan_pack_store($1::text, $2::jsonb) as code) x;

-- name: plan_pack(pack text) -> one
select plan_pack_get($1::text)::text as body;

-- name: plan_pack_file(pack text, format text) -> one
select body, status, media, file_name from plan_pack_file($1::text, $2::text);

-- name: plan_check(pack text) -> one
select plan_check($1::text)::text as body;

-- name: incident_plans(incident text, form jsonb) -> one
select plan_of_incident($1::text, coalesce($2::jsonb, '{}'))::text as body;

-- name: plan_activate(incident text, body jsonb) -> one
select r ->> 'ref' as ref, (r -> 'runs')::text as runs from plan_activate($1::text, $2::jsonb) r;

-- name: plan_activated(incident text) -> one
select plan_of_incident($1::text, '{}')::text as body, 201 as status, '/incidents/' || $1::text as location;

-- name: plan_look() -> one
select plan_look() as found;
