//! What the built-in rules decide, for every kind of caller and every action.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use expect_test::{Expect, expect};
use univrs_authz::{Action, Authorizer, Object};
use univrs_model::caller::{Caller, Grant, Principal};
use univrs_model::ids::{NodeId, TokenId};
use univrs_model::name::Name;

const GRANTS: [Grant; 3] = [Grant::Observe, Grant::Operate, Grant::Admin];

fn rules() -> Authorizer {
    Authorizer::new().unwrap()
}

fn org(name: &str) -> Name {
    name.parse().unwrap()
}

fn token(grant: Grant, in_org: &str) -> Caller {
    Caller { principal: Principal::Token { id: TokenId::from_bits(7), grant }, org: org(in_org) }
}

fn node(in_org: &str) -> Caller {
    Caller { principal: Principal::Node { id: NodeId::from_bits(7) }, org: org(in_org) }
}

fn web(in_org: &str) -> Object<'_> {
    Object { kind: "workload", org: in_org, name: "web" }
}

fn check_reason(caller: &Caller, action: Action, object: &Object<'_>, expected: &Expect) {
    let decision = rules().decide(caller, action, object);
    expected.assert_eq(&format!("{}: {}", if decision.allow { "allow" } else { "deny" }, decision.reason));
}

#[test]
fn every_caller_and_every_action() {
    let rules = rules();
    let callers = [
        token(Grant::Observe, "default"),
        token(Grant::Operate, "default"),
        token(Grant::Admin, "default"),
        Caller::local_admin(),
        Caller::control("rollout", Name::default_org()),
        node("default"),
    ];
    let mut table = format!(
        "{:<16} {:<8} {:<8} {:<8} {:<8} {:<13} node\n",
        "", "observe", "operate", "admin", "local", "loop"
    );
    for action in Action::ALL {
        let cell = |caller| {
            let decision = rules.decide(caller, *action, &web("default"));
            if decision.allow { decision.reason } else { "-".to_owned() }
        };
        let [a, b, c, d, e, f] = callers.each_ref().map(cell);
        table.push_str(&format!("{action:<16} {a:<8} {b:<8} {c:<8} {d:<8} {e:<13} {f}\n"));
    }
    expect![[r#"
                         observe  operate  admin    local    loop          node
        cluster_read     observe  observe  observe  observe  control_loop  node
        node_read        observe  observe  observe  observe  control_loop  node
        node_write       -        -        admin    admin    control_loop  -
        workload_read    observe  observe  observe  observe  control_loop  node
        workload_write   -        operate  operate  operate  control_loop  -
        workload_exec    -        operate  operate  operate  -             -
        workload_logs    -        operate  operate  operate  -             -
        instance_read    observe  observe  observe  observe  control_loop  node
        image_read       observe  observe  observe  observe  control_loop  -
        image_write      -        operate  operate  operate  control_loop  -
        event_read       observe  observe  observe  observe  control_loop  -
        audit_read       -        -        admin    admin    -             -
        secret_read      observe  observe  observe  observe  control_loop  -
        secret_write     -        operate  operate  operate  -             -
        token_read       -        -        admin    admin    -             -
        token_write      -        -        admin    admin    -             -
        org_read         observe  observe  observe  observe  control_loop  -
        org_write        -        -        admin    admin    -             -
        operation_read   observe  observe  observe  observe  control_loop  -
        operation_write  -        operate  operate  operate  control_loop  -
        plan_approve     -        -        admin    admin    -             -
        volume_read      observe  observe  observe  observe  control_loop  -
        volume_write     -        operate  operate  operate  control_loop  -
        volume_bind      -        -        admin    admin    control_loop  -
        metrics_read     observe  observe  observe  observe  control_loop  -
        backup_read      -        -        admin    admin    control_loop  -
        backup_write     -        -        admin    admin    control_loop  -
    "#]]
    .assert_eq(&table);
}

#[test]
fn greater_grants_may_do_what_lesser_ones_may() {
    let rules = rules();
    for action in Action::ALL {
        let may = |caller: &Caller| rules.decide(caller, *action, &web("default")).allow;
        let [observe, operate, admin] = GRANTS.map(|grant| may(&token(grant, "default")));
        assert!(observe <= operate && operate <= admin, "{action}");
        assert!(admin, "no grant permits {action}");
        assert_eq!(admin, may(&Caller::local_admin()), "{action}");
    }
}

#[test]
fn a_token_never_leaves_its_organisation() {
    let rules = rules();
    for action in Action::ALL {
        for grant in GRANTS {
            for (of, object) in [("acme", "default"), ("default", "acme"), ("acme", ""), ("acme", "acme2")] {
                let decision = rules.decide(&token(grant, of), *action, &web(object));
                assert!(!decision.allow, "{action} by {grant:?} of {of} in {object}: {}", decision.reason);
            }
            let same = rules.decide(&token(grant, "acme"), *action, &web("acme"));
            let default = rules.decide(&token(grant, "default"), *action, &web("default"));
            assert_eq!(same, default, "organisations are alike");
        }
    }
    check_reason(
        &token(Grant::Admin, "acme"),
        Action::WorkloadRead,
        &web("default"),
        &expect!["deny: token is of organisation acme; the object belongs to default"],
    );
}

#[test]
fn someone_on_the_machine_acts_in_every_organisation() {
    let rules = rules();
    for action in Action::ALL {
        for (acts_in, object) in [("default", "acme"), ("acme", "default"), ("acme", "acme")] {
            let caller = Caller { principal: Principal::LocalAdmin, org: org(acts_in) };
            assert!(rules.decide(&caller, *action, &web(object)).allow, "{action}");
        }
    }
}

#[test]
fn loops_and_nodes_work_for_every_organisation() {
    let rules = rules();
    for action in Action::ALL {
        for caller in [Caller::control("rollout", org("acme")), node("acme")] {
            let here = rules.decide(&caller, *action, &web("acme"));
            assert_eq!(here, rules.decide(&caller, *action, &web("default")), "{action}");
        }
    }
}

#[test]
fn a_denial_says_what_is_missing() {
    let object = web("default");
    check_reason(
        &token(Grant::Observe, "default"),
        Action::WorkloadWrite,
        &object,
        &expect!["deny: token grants observe; workload_write needs operate"],
    );
    check_reason(
        &token(Grant::Operate, "default"),
        Action::TokenWrite,
        &object,
        &expect!["deny: token grants operate; token_write needs admin"],
    );
    check_reason(
        &node("default"),
        Action::WorkloadWrite,
        &object,
        &expect![
            "deny: node nd_922222222222 is not among those who may do this; workload_write needs operate"
        ],
    );
    let rollout = Caller::control("rollout", Name::default_org());
    check_reason(
        &rollout,
        Action::PlanApprove,
        &object,
        &expect!["deny: control loop rollout is not among those who may do this; plan_approve needs admin"],
    );
}

#[test]
fn names_cannot_pass_for_more_than_they_are() {
    let rules = rules();
    let odd = "\" } || true || { \"admin";
    let object = Object { kind: odd, org: odd, name: odd };
    for action in Action::ALL {
        assert!(!rules.decide(&token(Grant::Admin, "default"), *action, &object).allow);
        assert!(rules.decide(&Caller::local_admin(), *action, &object).allow);
        let named_admin = Caller::control("admin", Name::default_org());
        let named_rollout = Caller::control("rollout", Name::default_org());
        let may = |caller| rules.decide(caller, *action, &web("default")).allow;
        assert_eq!(may(&named_admin), may(&named_rollout));
    }
}

#[test]
fn actions_are_named_once_in_snake_case() {
    let mut names: Vec<String> = Action::ALL.iter().map(ToString::to_string).collect();
    for (action, name) in Action::ALL.iter().zip(&names) {
        let snake: String = format!("{action:?}")
            .chars()
            .flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
            .collect();
        assert_eq!(snake.trim_start_matches('_'), name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), Action::ALL.len());
}

#[test]
fn an_ai_operator_may_do_what_a_token_of_its_mode_may_and_approves_nothing() {
    let rules = rules();
    for grant in GRANTS {
        let operator = Caller { principal: Principal::Assistant { grant }, ..Caller::local_admin() };
        for action in Action::ALL {
            let may = rules.decide(&operator, *action, &web("default")).allow;
            let token = rules.decide(&token(grant, "default"), *action, &web("default")).allow;
            assert_eq!(may, token && *action != Action::PlanApprove, "{grant:?} {action}");
        }
    }
}
