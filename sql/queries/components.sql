-- name: components() -> one
select component_list()::text as body;

-- name: component_get(component text) -> one
select (component_list() || jsonb_build_object('component', component_view(c),
    'has_history', exists (select 1 from component_change h where h.component_id = c.id and h.status_incident_id is not null)))::text as body
  from component c where c.slug = $1::text;

-- name: component_create(slug text, body jsonb) -> one
select component_save(true, $1::text, $2::jsonb)::text as body, 201 as status, '/components' as location;

-- name: component_change(component text, body jsonb) -> one
select component_save(false, $1::text, $2::jsonb)::text as body, '/components' as location;

-- name: component_delete(component text) -> one
select '{}' as body, '/components' as location from component_remove($1::text);
