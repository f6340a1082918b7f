-- name: idem_begin(caller text, key text, route text, body_sha256 text) -> one
select replay, status, body, location from idem_begin($1::text, $2::text, $3::text, $4::text);

-- name: idem_end(caller text, key text, status int, body text, location text) -> exec
select idem_end($1::text, $2::text, $3::int, $4::text, $5::text);

-- name: housekeeping() -> exec
select housekeeping();
