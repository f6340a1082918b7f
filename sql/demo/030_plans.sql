-- Emergency plans of Haidong Bank: the one for mobile banking is in force, the overall plan awaits its approval. Written and approved
-- through the functions people use. Runs once, where the sample bank is and has no plan yet.
do $demo$
declare
  v plan_version%rowtype;
begin
  if not exists (select 1 from setting where key = 'demo') or exists (select 1 from plan) or not exists (select 1 from plan_template where id = 'cn-special')
     or not exists (select 1 from playbook where slug = 'mobile-banking-outage') or not exists (select 1 from person where login = 'zhao.hui') then
    return;
  end if;
  perform set_config('muster.me', (select id::text from person where login = 'zhao.hui'), true), set_config('muster.roles', 'viewer risk approver', true);
  perform plan_create('{"slug":"mobile-banking","template":"cn-special","owner":"li.qiang","title":{"zh":"手机银行业务中断专项应急预案","en":"Special plan: mobile banking outage"},"services":"mobile-banking fast-payment"}');
  v := plan_save('mobile-banking', null, '{"playbooks":{"mobile-banking-outage":"III","ddos":"I"},"sections":{
    "general":{"zh":"为规范手机银行业务中断的应急处置，尽快恢复服务，制定本预案。本预案适用于手机银行登录、查询、转账、支付不可用或大面积失败的情形，在总体预案的统一指挥下执行。","en":"This plan orders the response when sign-in, enquiries, transfers or payments in the app are unavailable or fail widely. It stands under the overall plan."},
    "impact":{"zh":"手机银行承载约七成的个人转账，中断直接影响客户资金使用。恢复目标：\n\n- {{service:mobile-banking}}：{{objective:mobile-banking}}\n- {{service:fast-payment}}：{{objective:fast-payment}}","en":"Seven in ten personal transfers pass through the app; customers feel an outage at once. Objectives:\n\n- {{service:mobile-banking}}: {{objective:mobile-banking}}\n- {{service:fast-payment}}: {{objective:fast-payment}}"},
    "warning":{"zh":"登录成功率低于95%持续5分钟，或客服话务量突增一倍，值班经理（{{role:duty}}）即启动核实。诊断顺序：近期变更、认证服务、核心接口、网络入口、短信通道（{{supplier:sms-gateway}}）。","en":"When fewer than 95 % of sign-ins succeed for five minutes, or calls to the hotline double, the duty manager ({{role:duty}}) checks. Order of diagnosis: recent changes, sign-in service, core interface, network entry, texts ({{supplier:sms-gateway}})."},
    "process":{"zh":"按关联流程执行。变更引发的故障优先回退，不在生产环境现场修复。","en":"The linked playbook is followed. A fault caused by a change is rolled back, not repaired in production."},
    "coordination":{"zh":"短信通道故障由 {{role:supplier_manager}} 联系服务商，并切换备用通道；涉及清算的，同步告知支付清算机构。","en":"If texts fail, {{role:supplier_manager}} calls the provider and switches to the second one. Where clearing is concerned, the clearing house is told."},
    "recovery":{"zh":"恢复后用测试账户完成登录和转账验证，核对中断期间的在途交易，观察30分钟无异常方可解除。","en":"After the restore, a test account signs in and makes a transfer, transactions in flight are reconciled, and half an hour passes without trouble before the plan is lifted."},
    "support":{"zh":"技术支持：{{person:li.qiang}}；数据库：{{person:chen.jie}}；运行团队：{{team:operations}}。","en":"Technical lead: {{person:li.qiang}}; database: {{person:chen.jie}}; operations: {{team:operations}}."},
    "revision":{"zh":"每半年演练一次。最近一次演练：{{drill:mobile-banking-outage}}。","en":"Drilled twice a year. Last drill: {{drill:mobile-banking-outage}}."}}}');
  v := plan_move('mobile-banking', v.version, 'submitted', '已征求信息科技部和办公室意见。');
  perform set_config('muster.me', (select id::text from person where login = 'gao.feng'), true), set_config('muster.roles', 'viewer approver', true);
  perform plan_approve('mobile-banking', v.version, '{"note":"同意生效；后备人员缺口由各部门于本季度内补齐。"}');
  perform set_config('muster.me', (select id::text from person where login = 'zhao.hui'), true), set_config('muster.roles', 'viewer risk approver', true);
  perform plan_create('{"slug":"overall","template":"cn-overall","title":{"zh":"海东银行突发事件总体应急预案","en":"Overall emergency plan of Haidong Bank"},"services":"core-banking mobile-banking card-payment transfer"}');
  v := plan_save('overall', null, '{"playbooks":{"payment-outage":"II","ddos":"II"}}');
  perform plan_move('overall', v.version, 'submitted', '年度修订，请审批。');
  perform set_config('muster.me', '', true), set_config('muster.roles', '', true);
end $demo$;
