-- name: components() -> one
select component_list()::text as body;

-- name: component_get(component text, form jsonb) -> one
select component_page($1::text, $2::jsonb)::text as body;

-- name: component_create(slug text, body jsonb) -> one
select component_save(true, $1::text, $2::jsonb)::text as body, 201 as status, '/components' as location;

-- name: component_change(component text, body jsonb) -> one
select component_save(false, $1::text, $2::jsonb)::text as body, '/components' as location;

-- name: component_delete(component text) -> one
select '{}' as body, '/components' as location from component_remove($1::text);
