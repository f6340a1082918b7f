-- name: session_open(token_hash text, kind text, role text, lang text, request text, address text) -> one
select person, name, login, roles, must_change, session
  from session_open($1::text, $2::text, $3::text, $4::text, $5::text, $6::text);
