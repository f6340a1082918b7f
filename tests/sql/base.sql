-- The functions that everything else stands on: canonical form, texts, who asks, keys of repeated requests, audit chain, registers.
begin;
select plan(62);

-- canonical form (RFC 8785): examples of the standard and our own corners
select is(canonical('{"b":1.0,"a":[1e21,1e20,0.000001,1e-7,4.50,2e-3,333333333.33333329]}'),
  '{"a":[1e+21,100000000000000000000,0.000001,1e-7,4.5,0.002,333333333.3333333],"b":1}', 'numbers are written as ECMAScript does');
select is(canonical('{"\u20ac":1,"\r":2,"1":3,"\ud83d\ude00":4,"\u0080":5,"\u00f6":6,"\ufb33":7}'),
  E'{"\\r":2,"1":3,"\u0080":5,"\u00f6":6,"\u20ac":1,"\U0001F600":4,"\uFB33":7}', 'names are ordered by UTF-16 code units');
select is(canonical('{"t":"\u0001\n\"\\/é"}'), E'{"t":"\\u0001\\n\\"\\\\/é"}', 'only what must be escaped is escaped');
select is(canonical('[null,true,false,{},[]]'), '[null,true,false,{},[]]', 'empty things stay');
select is(canonical('[-0.0,0,-1,9007199254740991]'), '[0,0,-1,9007199254740991]', 'whole numbers');

-- texts
select is(two_languages('"x"'), '{"zh":"x","en":"x"}', 'a plain text stands for both languages');
select is(two_languages('{"zh":"甲"}'), '{"zh":"甲","en":"甲"}', 'a missing language is filled from the other');
select is(two_languages('{"zh":null,"en":"b"}'), '{"zh":"b","en":"b"}', 'null counts as missing');
select is(two_languages('{"zh":"","en":""}'), null, 'nothing at all is null');
select set_config('muster.lang', 'en', true);
select is(pick('{"zh":"甲","en":"a"}'), 'a', 'the reader''s language');
select is(pick('{"zh":"甲","en":""}'), '甲', 'else the other one');
select is(iso('2026-11-23 14:05:09.123456+08'), '2026-11-23T06:05:09.123Z', 'instants in UTC with milliseconds');

-- roles
select is(roles_effective('{commander}'), '{commander,responder,viewer}', 'a commander may do what a responder may');
select is(roles_effective('{}'), '{}', 'nobody may do nothing');
select ok('auditor' = any(roles_effective('{admin}')), 'an administrator may do all');

-- who asks
insert into person(id, login, name) values ('00000000-0000-0000-0000-00000000000a', 'li', '{"zh":"李","en":"Li"}'), ('00000000-0000-0000-0000-00000000000b', 'gone', '{"zh":"无","en":"Gone"}');
update person set active = false where login = 'gone';
insert into person_role values ('00000000-0000-0000-0000-00000000000a', 'commander'), ('00000000-0000-0000-0000-00000000000b', 'viewer');
insert into session(token_hash, person_id, created_at, seen_at, expires_at)
  select t, p::uuid, app_now(), app_now(), app_now() + interval '7 days' from (values ('A', '00000000-0000-0000-0000-00000000000a'), ('B', '00000000-0000-0000-0000-00000000000b')) as v(t, p);
insert into api_token(person_id, name, token_hash, last_four, scopes, created_at) values ('00000000-0000-0000-0000-00000000000a', 't', 'T', 'xxxx', '{viewer,admin}', app_now());
select is((select login from session_open('A', 'cookie', 'responder', 'zh', 'r1', '::1')), 'li', 'a session opens');
select is(me(), '00000000-0000-0000-0000-00000000000a'::uuid, 'me()');
select ok(has_role('viewer') and has_role('commander') and not has_role('admin'), 'has_role()');
select is(my_request(), 'r1', 'the request is remembered');
select throws_ok($$select * from session_open('A', 'cookie', 'admin', 'zh', 'r', '::1')$$, 'MU403', 'error.role.admin', 'a role one has not');
select throws_ok($$select * from session_open('x', 'cookie', '', 'zh', 'r', '::1')$$, 'MU401', 'error.signin.needed', 'an invented token');
select throws_ok($$select * from session_open('B', 'cookie', 'viewer', 'zh', 'r', '::1')$$, 'MU401', 'error.signin.needed', 'somebody who left');
select throws_ok($$select * from session_open('', 'cookie', 'any', 'zh', 'r', '::1')$$, 'MU401', 'error.signin.needed', 'nobody');
select is((select count(*) from session_open('x', 'cookie', 'public', 'zh', 'r', '::1') where person is null), 1::bigint, 'a public row lets a bad token in as nobody');
select is(me(), null, 'and nobody stays nobody');
select is((select array_agg(r order by r) from session_open('T', 'bearer', 'viewer', 'zh', 'r', '::1'), jsonb_array_elements_text(roles) as r), '{commander,responder,viewer}', 'scopes never give more than the person has');
update test_clock set shift = '11 hours 59 minutes';
select lives_ok($$select * from session_open('A', 'cookie', '', 'zh', 'r', '::1')$$, 'used within twelve hours');
update test_clock set shift = '24 hours 5 minutes';
select throws_ok($$select * from session_open('A', 'cookie', '', 'zh', 'r', '::1')$$, 'MU401', 'error.signin.needed', 'twelve hours without use');
update test_clock set shift = '0';

-- waiting after failures
select is(sign_in_wait('li', '1.1.1.1'), 0, 'no failure, no wait');
insert into sign_in_attempt(login, address, at, good) select 'li', '1.1.1.1', app_now(), false from generate_series(1, 4);
select is(sign_in_wait('li', '1.1.1.1'), 0, 'four are free');
insert into sign_in_attempt(login, address, at, good) select 'li', '1.1.1.1', app_now(), false from generate_series(1, 3);
select cmp_ok(sign_in_wait('li', '1.1.1.1'), '>=', 7, 'seven cost eight seconds');
select is(sign_in_wait('li', '2.2.2.2'), 0, 'another address is free meanwhile');
insert into sign_in_attempt(login, address, at, good) select 'li', '3.3.3.' || n, app_now(), false from generate_series(1, 40) as n;
select cmp_ok(sign_in_wait('li', '2.2.2.2'), '>', 100, 'but not when the whole world tries');

-- repeated requests
select is((select replay from idem_begin('c', 'k', 'r', 'h')), false, 'a key is new once');
select idem_end('c', 'k', 201, '{"a":1}', '/x');
select results_eq($$select replay, status, body, location from idem_begin('c', 'k', 'r', 'h')$$, $$values (true, 201, '{"a":1}'::text, '/x'::text)$$, 'then it gives the first answer');
select throws_ok($$select * from idem_begin('c', 'k', 'r', 'other')$$, 'MU422', 'error.idempotency.body', 'another body is refused');
select is((select replay from idem_begin('d', 'k', 'r', 'h')), false, 'keys belong to their caller');

-- the audit chain
select session_open('A', 'cookie', '', 'zh', 'r', '::1');
select audit('test.one', 'x', '{"n":1.50,"t":"甲"}'), audit('test.two', null);
select is(audit_first_bad(1, (select max(seq) from audit_event)), null, 'the chain holds');
select is((select actor_name from audit_event order by seq desc limit 1), '李', 'and says who');
select throws_ok('update audit_event set object = ''y''', '23514', null, 'entries are never changed');
select throws_ok('delete from audit_event', '23514', null, 'nor removed');
alter table audit_event disable trigger audit_event_append_only;
update audit_event set data = '{"n":2}' where action = 'test.one';
select is(audit_first_bad(1, (select max(seq) from audit_event)), (select seq from audit_event where action = 'test.one'), 'a change behind its back is found');
update audit_event set data = '{"n":1.50,"t":"甲"}' where action = 'test.one';
alter table audit_event enable trigger audit_event_append_only;

-- durations and cells
select is(duration_seconds(t), s, 'duration ' || coalesce(t, 'null')) from (values ('30m', 1800), ('4h', 14400), ('1d', 86400), ('90s', 90), ('PT1H30M', 5400), ('1h30m', 5400), ('2小时', 7200), ('1.5h', 5400), ('soon', null), ('400d', null), ('', null)) as v(t, s);
select is(duration_short(5400), '1h30m', 'and back');
select is(csv_text('=1+1'), '''=1+1', 'a formula is neutralised');
select is(csv_text(E'a"b,\n'), E'"a""b,\n"', 'a cell is quoted');

-- registers
select ok(search_grams('手机银行') @> search_grams('银行'), 'two characters are found inside a name');
select is(service_word('关键') || service_word('APP') || service_word('小程序'), 'vitalappmini_program', 'words of cells');
select throws_ok($$select service_create('{"slug":"import","kind":"app","name":"x"}')$$, 'MU422', 'error.slug_reserved', 'reserved names');
select throws_ok($$select endpoint_create('{"slug":"reg","kind":"webhook","name":"x","address":"https://x.example/","audience":"regulator","drill_safe":true}', 's')$$, 'MU422', 'error.endpoint.drill_safe', 'a drill never reaches a regulator');
select service_create('{"slug":"pay","kind":"system","name":"支付"}');
select results_eq($$select line, action, faults is null from services_plan('[{"_line":2,"slug":"pay","name_zh":"支付"},{"_line":3,"slug":"new1","name_zh":"新","kind":"系统"},{"_line":4,"slug":"pay2","kind":"zzz","name_zh":"x"}]', '["slug","name_zh"]') order by line$$,
  $$values (2, 'same', true), (3, 'new', false), (4, 'new', false)$$, 'a plan of a table');
select is((select q->'items'->0->>'slug' from (select body as q from services_page(null, null, '支付', null, null, 50)) as x), 'pay', 'a service is found by two characters');

select * from finish();
rollback;
