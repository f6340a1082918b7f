-- What happened at Haidong Bank before today: two incidents that are over, a drill that is over, and a drill that runs now. All of it
-- goes through the functions people use, with the clock set back, so that timelines, hashes and the status page are as they would be.
-- Nothing of it leaves: every message is recorded as simulated.
create function pg_temp.demo_at(p_when timestamptz) returns void language sql as $$
  update test_clock set shift = p_when - statement_timestamp()
$$;

create function pg_temp.demo_as(p_login text) returns void language sql as $$
  select set_config('muster.me', (select p.id::text from person p where p.login = p_login), true),
    set_config('muster.roles', array_to_string(roles_effective(array(select r.role from person_role r join person p on p.id = r.person_id where p.login = p_login)), ' '), true)
$$;

create function pg_temp.demo_note(p_ref text, p_when timestamptz, p_login text, p_zh text, p_en text) returns void language plpgsql as $$
begin
  perform pg_temp.demo_at(p_when);
  perform pg_temp.demo_as(p_login);
  perform note_add(p_ref, jsonb_build_object('text', p_zh || E'\n' || p_en));
end $$;

do $demo$
declare
  d jsonb; v_ref text; v_id uuid; t timestamptz;
begin
  if (select s.value from setting s where s.key = 'demo') is distinct from '"register"' then
    return;
  end if;

  -- 1. Forty-five days ago: the SMS provider was slow; small, over in fifty minutes.
  t := date_trunc('day', statement_timestamp()) - interval '45 days' + interval '2 hours 10 minutes';
  perform pg_temp.demo_at(t); perform pg_temp.demo_as('liu.yang');
  d := incident_declare('{"title":"短信验证码延迟 · One-time codes arrive late","severity":"III","services":["sms-gateway:partial","mobile-banking:degraded"],"playbook":"none","summary":"短信通道排队，验证码平均延迟4分钟。\nThe SMS provider queues; codes arrive four minutes late on average."}');
  v_ref := d->>'ref'; v_id := (d->>'incident')::uuid;
  perform status_publish(v_id, 'investigating', '{"zh":"部分客户收到短信验证码较慢，我们正在处理。","en":"Some customers receive one-time codes late. We are working on it."}',
    '[{"component":"mobile-banking","status":"degraded_performance"}]', '{"zh":"短信验证码延迟","en":"One-time codes arrive late"}');
  perform pg_temp.demo_note(v_ref, t + interval '12 minutes', 'li.qiang', '已切换到备用短信通道。', 'Switched to the second provider.');
  perform pg_temp.demo_at(t + interval '50 minutes'); perform pg_temp.demo_as('wang.min');
  perform incident_state(v_ref, null, '{"state":"resolved","reason":"备用通道运行稳定，延迟恢复正常。 The second provider is stable; delays are normal."}');
  perform status_publish(v_id, 'resolved', '{"zh":"短信验证码已恢复正常。","en":"One-time codes arrive normally again."}', null);
  perform pg_temp.demo_at(t + interval '5 hours');
  perform incident_state(v_ref, null, '{"state":"closed"}');

  -- 2. Thirty days ago: the quarterly drill, over.
  t := date_trunc('day', statement_timestamp()) - interval '30 days' + interval '6 hours';
  perform pg_temp.demo_at(t); perform pg_temp.demo_as('wang.min');
  d := incident_declare('{"kind":"drill","title":"核心业务系统切换 · Core banking fail-over","severity":"I","services":["core-banking","card-payment:partial"],"playbook":"none","summary":"模拟生产数据库主库不可用，切换到同城备库。\nThe primary database is assumed lost; fail over to the standby in the same city."}');
  v_ref := d->>'ref';
  perform pg_temp.demo_note(v_ref, t + interval '4 minutes', 'chen.jie', '确认主库不可用，申请切换。', 'Primary confirmed lost; asking for the fail-over.');
  perform pg_temp.demo_note(v_ref, t + interval '7 minutes', 'wang.min', '批准切换。', 'Fail-over approved.');
  perform pg_temp.demo_at(t + interval '19 minutes'); perform pg_temp.demo_as('chen.jie');
  perform incident_services(v_ref, '{"service":"core-banking","impact":"none"}');
  perform pg_temp.demo_note(v_ref, t + interval '26 minutes', 'zhao.hui', '观察：切换脚本第3步缺少复核人签字，记为改进项。', 'Observation: step 3 of the fail-over script has no second signature; noted as a finding.');
  perform pg_temp.demo_at(t + interval '34 minutes'); perform pg_temp.demo_as('wang.min');
  perform incident_state(v_ref, null, '{"state":"resolved","reason":"业务验证通过，演练目标达成。 Business checks passed; the objectives are met."}');
  perform pg_temp.demo_at(t + interval '3 hours');
  perform incident_state(v_ref, null, '{"state":"closed","reason":"演练总结会完成。 The debrief is done."}');

  -- 3. Twelve days ago: mobile banking was down for an hour and a half; told to the public, handed over once, over.
  t := date_trunc('day', statement_timestamp()) - interval '12 days' + interval '1 hour 42 minutes';
  perform pg_temp.demo_at(t); perform pg_temp.demo_as('liu.yang');
  d := incident_declare(jsonb_build_object('title', '手机银行登录失败 · Mobile banking: sign-in fails', 'severity', 'III', 'services', '["mobile-banking","fast-payment:degraded"]'::jsonb, 'playbook', 'none',
    'occurred_at', iso(t - interval '6 minutes'), 'summary', E'客服电话激增，登录成功率降至12%。\nCalls surge; only 12 % of sign-ins succeed.'));
  v_ref := d->>'ref'; v_id := (d->>'incident')::uuid;
  perform pg_temp.demo_at(t + interval '9 minutes'); perform pg_temp.demo_as('wang.min');
  perform incident_severity(v_ref, null, '{"severity":"II","reason":"影响全国客户，超过10分钟未恢复。 All regions are affected for more than ten minutes."}');
  perform status_publish(v_id, 'investigating', '{"zh":"手机银行登录出现问题，我们正在排查。网点、自助设备和刷卡支付不受影响。","en":"Sign-in to mobile banking fails. We are investigating. Branches, cash machines and card payments work."}',
    '[{"component":"mobile-banking","status":"major_outage"},{"component":"fast-payment","status":"degraded_performance"}]', '{"zh":"手机银行无法登录","en":"Sign-in to mobile banking fails"}');
  perform pg_temp.demo_note(v_ref, t + interval '17 minutes', 'li.qiang', '认证服务连接池耗尽，原因疑似昨晚参数变更。', 'The connection pool of the sign-in service is exhausted; a parameter changed last night is suspected.');
  perform pg_temp.demo_at(t + interval '20 minutes'); perform pg_temp.demo_as('wang.min');
  perform incident_next_update(v_ref, '{"minutes":30}');
  perform incident_roles(v_ref, (select jsonb_build_object('role', 'tech_lead', 'person', p.id) from person p where p.login = 'li.qiang'));
  perform pg_temp.demo_at(t + interval '31 minutes');
  perform status_publish(v_id, 'identified', '{"zh":"已找到原因，正在恢复。","en":"The cause is found. We are restoring the service."}', '[{"component":"mobile-banking","status":"partial_outage"}]');
  perform incident_state(v_ref, null, '{"state":"mitigated","reason":"参数已回退，登录成功率回升到85%。 The parameter is rolled back; 85 % of sign-ins succeed."}');
  perform pg_temp.demo_at(t + interval '45 minutes');
  perform incident_handover(v_ref, null, '{"to":"zhou.kai","reason":"王敏向行领导汇报，由周凯接任。 Wang Min reports to the executives; Zhou Kai takes over."}');
  perform pg_temp.demo_at(t + interval '62 minutes'); perform pg_temp.demo_as('zhou.kai');
  perform incident_services(v_ref, '{"service":"fast-payment","impact":"none"}');
  perform status_publish(v_id, 'monitoring', '{"zh":"服务已恢复，我们正在观察。","en":"The service is back. We are watching it."}', '[{"component":"mobile-banking","status":"degraded_performance"},{"component":"fast-payment","status":"operational"}]');
  perform pg_temp.demo_at(t + interval '88 minutes');
  perform incident_state(v_ref, null, '{"state":"resolved","reason":"连续30分钟指标正常。 All figures normal for thirty minutes."}');
  perform status_publish(v_id, 'resolved', '{"zh":"手机银行已完全恢复。给您带来不便，我们深表歉意。","en":"Mobile banking works fully again. We apologise for the inconvenience."}', null);
  perform pg_temp.demo_at(t + interval '2 days'); perform pg_temp.demo_as('wang.min');
  perform incident_state(v_ref, null, '{"state":"closed","reason":"复盘完成，变更复核流程已修订。 The review is done; the change procedure is revised."}');

  -- 4. Now: a drill that began twenty-five minutes ago.
  t := statement_timestamp() - interval '25 minutes';
  perform pg_temp.demo_at(t); perform pg_temp.demo_as('zhou.kai');
  d := incident_declare('{"kind":"drill","title":"快捷支付成功率下降 · Online quick payments fail","severity":"II","services":["fast-payment:partial"],"playbook":"none","summary":"模拟上游支付机构接口超时。\nThe interface of a payment institution is assumed to time out."}');
  v_ref := d->>'ref';
  perform pg_temp.demo_note(v_ref, t + interval '8 minutes', 'liu.yang', '监控告警：快捷支付成功率61%。', 'Monitoring: 61 % of quick payments succeed.');
  perform pg_temp.demo_note(v_ref, t + interval '16 minutes', 'li.qiang', '已与支付机构联系，对方确认接口超时。', 'The payment institution confirms that its interface times out.');
  perform pg_temp.demo_at(statement_timestamp() - interval '5 minutes'); perform pg_temp.demo_as('zhou.kai');
  perform incident_next_update(v_ref, '{"minutes":40}');

  update test_clock set shift = '0';
  -- What was "sent" in these stories never left, and says so.
  update outbox b set delivery = 'simulate', state = 'simulated', attempt = 1, ms = 0, done_at = b.created_at + interval '2 seconds',
    acked_at = case when b.ack_token is not null and b.id % 4 <> 0 then to_ms(b.created_at + interval '3 minutes') end,
    acked_by = case when b.ack_token is not null and b.id % 4 <> 0 then b.person_id end
    where b.incident_id is not null;
  delete from outbox_queue q using outbox b where b.id = q.id and b.state = 'simulated';
  update setting set value = '"loaded"' where key = 'demo';
  perform set_config('muster.me', '', true), set_config('muster.roles', '', true);
end $demo$;

drop function pg_temp.demo_note(text, timestamptz, text, text, text);
drop function pg_temp.demo_as(text);
drop function pg_temp.demo_at(timestamptz);
