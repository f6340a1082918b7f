-- name: audit_list(action text, object text, verify text, cursor text, limit int) -> one
select body, next from audit_page($1::text, $2::text, $3::text, $4::text, $5::int);

-- name: audit_export(after int, limit int) -> one
select audit_export($1::bigint, $2::int)::text as body, 'application/json' as media, 'audit.json' as file_name;
