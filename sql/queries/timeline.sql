-- name: timeline_get(incident text, cursor text, limit int) -> one
select body, next from timeline_get($1::text, $2::text, $3::int);
