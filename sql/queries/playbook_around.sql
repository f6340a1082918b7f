-- name: playbook_around(slug text, publishing bool) -> one
-- The surroundings for the checker (engine/README.md). Used at import and publication, and by `muster playbook check --database`.
select playbook_around(nullif($1::text, ''), $2::boolean)::text as around;
