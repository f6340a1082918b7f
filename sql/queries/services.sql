-- name: services_list(kind text, importance text, q text, retired text, cursor text, limit int) -> one
select body, next from services_page($1::text, $2::text, $3::text, $4::text, $5::text, $6::int);

-- name: service_new(form jsonb) -> one
select jsonb_build_object('edit', service_edit(coalesce($1::jsonb, '{}'), null), 'fresh', true) as body;

-- name: service_create(body jsonb) -> one
select service_doc(x.slug) as body, '/services/' || x.slug as location, 201 as status, '1' as etag from (select service_create($1::jsonb) as slug) as x;

-- name: service_get(service text) -> one
select d as body, d ->> 'etag' as etag from (select service_doc($1::text) as d) as x;

-- name: service_edit(service text, form jsonb) -> one
select service_doc($1::text) || jsonb_build_object('edit', service_edit(coalesce($2::jsonb, '{}'), service_find($1::text))) as body;

-- name: service_put(service text, body jsonb, etag text) -> one
select d as body, d ->> 'etag' as etag, '/services/' || $1 as location
  from (select service_doc(service_put($1::text, $2::jsonb, $3::text)) as d) as x;

-- name: service_retire(service text, retired bool) -> one
select service_doc(x.slug) as body, '/services/' || x.slug as location from (select service_retire($1::text, coalesce($2::bool, false)) as slug) as x;

-- name: services_import_page() -> one
select jsonb_build_object('columns', (select jsonb_agg(jsonb_build_object('name', c, 'also', service_columns() -> c) order by o)
  from unnest(string_to_array('slug,kind,name_zh,name_en,description_zh,description_en,department_zh,department_en,owner,importance,important_system,rto,rpo,app_kind,app_platforms,app_stores,app_versions,app_filings', ',')) with ordinality as u(c, o))) as body;

-- A hundred thousand rows take longer than a page may.
-- name: services_import_time() -> one
select set_config('statement_timeout', '120s', true) as timeout;

-- name: services_import_check(rows jsonb, columns jsonb, file_name text) -> one
select services_import_doc(x.id) as body, '/service-imports/' || x.id as location, 201 as status
  from (select services_import_check($1::jsonb, $2::jsonb, $3::text) as id) as x;

-- name: services_import_get(import uuid) -> one
select services_import_doc($1::uuid) as body;

-- name: services_import_confirm(import uuid) -> one
select services_import_doc($1::uuid) as body, '/service-imports/' || $1 as location from (select services_import_confirm($1::uuid)) as x;

-- name: services_export() -> one
select services_csv() as body, 'text/csv; charset=utf-8' as media, 'services.csv' as file_name;
