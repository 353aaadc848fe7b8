//! What the built-in rules decide, for every kind of caller and every action.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use expect_test::{Expect, expect};
use proptest::prelude::*;
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
    let principal =
        Principal::Token { id: TokenId::from_bits(7), grant, direct: false, org: Some(org(in_org)) };
    Caller { principal, org: org(in_org), request: None }
}

fn cluster_token(grant: Grant) -> Caller {
    let principal = Principal::Token { id: TokenId::from_bits(7), grant, direct: false, org: None };
    Caller { principal, ..Caller::local_admin() }
}

fn node(in_org: &str) -> Caller {
    Caller { principal: Principal::Node { id: NodeId::from_bits(7) }, org: org(in_org), request: None }
}

fn web(in_org: &str) -> Object<'_> {
    Object { kind: "workload", org: Some(in_org), name: "web" }
}

fn of_cluster() -> Object<'static> {
    Object { kind: "node", org: None, name: "one" }
}

/// What a token of an organisation may do with what belongs to the cluster.
const SHARED: [Action; 4] = [Action::ClusterRead, Action::NodeRead, Action::ImageRead, Action::EventRead];

fn check_reason(caller: &Caller, action: Action, object: &Object<'_>, expected: &Expect) {
    let decision = rules().decide(caller, action, object);
    let verdict = if decision.allow { "allow" } else { "deny" };
    expected.assert_eq(&format!("{verdict} by {}: {}", decision.rule, decision.reason));
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
            if decision.allow { decision.rule } else { "-".to_owned() }
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
        workload_logs    -        operate  operate  operate  control_loop  -
        instance_read    observe  observe  observe  observe  control_loop  node
        image_read       observe  observe  observe  observe  control_loop  -
        image_write      -        operate  operate  operate  control_loop  -
        event_read       observe  observe  observe  observe  control_loop  -
        audit_read       -        -        admin    admin    -             -
        secret_read      observe  observe  observe  observe  control_loop  -
        secret_write     -        operate  operate  operate  control_loop  -
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
        resource_read    observe  observe  observe  observe  control_loop  -
        resource_write   -        operate  operate  operate  control_loop  -
        resource_credentials -        operate  operate  operate  -             -
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
        for grant in GRANTS {
            let wide = rules.decide(&cluster_token(grant), *action, &web("default"));
            assert_eq!(wide, rules.decide(&token(grant, "default"), *action, &web("default")), "{action}");
        }
    }
}

#[test]
fn a_token_of_the_cluster_reaches_all_that_its_grant_allows() {
    let rules = rules();
    for (action, grant) in Action::ALL.iter().flat_map(|action| GRANTS.map(|grant| (action, grant))) {
        let caller = cluster_token(grant);
        let here = rules.decide(&caller, *action, &web("default"));
        assert_eq!(here, rules.decide(&caller, *action, &web("acme")), "{action}");
        assert_eq!(here, rules.decide(&caller, *action, &of_cluster()), "{action}");
    }
}

#[test]
fn an_organisation_only_looks_at_what_belongs_to_the_cluster() {
    let rules = rules();
    for action in Action::ALL {
        let allowed = rules.decide(&token(Grant::Admin, "default"), *action, &of_cluster()).allow;
        assert_eq!(allowed, SHARED.contains(action), "{action}");
    }
    check_reason(
        &token(Grant::Admin, "acme"),
        Action::NodeWrite,
        &of_cluster(),
        &expect!["deny by cluster_objects: token is of organisation acme; the object belongs to the cluster"],
    );
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
        &expect!["deny by own_organisation: token is of organisation acme; the object belongs to default"],
    );
}

#[test]
fn someone_on_the_machine_acts_in_every_organisation() {
    let rules = rules();
    for action in Action::ALL {
        for (acts_in, object) in [("default", "acme"), ("acme", "default"), ("acme", "acme")] {
            let caller = Caller { org: org(acts_in), ..Caller::local_admin() };
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
        &expect!["deny by default_deny: token grants observe; workload_write needs operate"],
    );
    check_reason(
        &token(Grant::Operate, "default"),
        Action::TokenWrite,
        &object,
        &expect!["deny by default_deny: token grants operate; token_write needs admin"],
    );
    check_reason(
        &node("default"),
        Action::WorkloadWrite,
        &object,
        &expect![
            "deny by default_deny: node nd_922222222222 is not among those who may do this; workload_write needs operate"
        ],
    );
    let rollout = Caller::control("rollout", Name::default_org());
    check_reason(
        &rollout,
        Action::PlanApprove,
        &object,
        &expect![
            "deny by default_deny: control loop rollout is not among those who may do this; plan_approve needs admin"
        ],
    );
}

#[test]
fn names_cannot_pass_for_more_than_they_are() {
    let rules = rules();
    let odd = "\" } || true || { \"admin";
    let object = Object { kind: odd, org: Some(odd), name: odd };
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

/// An organisation that tokens and objects may have, or none.
fn any_org() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("default"), Some("acme"), Some("acme2")])
}

proptest! {
    /// AUT-1 and AUT-2 for any token, action and object.
    #[test]
    fn tokens_stay_within_their_grant_and_organisation(
        grant in prop::sample::select(GRANTS.to_vec()),
        action in prop::sample::select(Action::ALL.to_vec()),
        direct in any::<bool>(),
        of in any_org(),
        acts_in in prop::sample::select(vec!["default", "acme", "other"]),
        owner in any_org(),
        name in "[a-z\"|]{0,8}",
    ) {
        thread_local!(static RULES: Authorizer = rules());
        let caller = |grant, of: Option<&str>| Caller {
            principal: Principal::Token { id: TokenId::from_bits(7), grant, direct, org: of.map(org) },
            org: org(acts_in),
            request: None,
        };
        let object = Object { kind: "any", org: owner, name: &name };
        let may = |caller: &Caller| RULES.with(|rules| rules.decide(caller, action, &object).allow);
        if may(&caller(grant, of)) {
            prop_assert!(of.is_none() || of == owner || (owner.is_none() && SHARED.contains(&action)));
            let looks = action.as_str().ends_with("_read");
            prop_assert!(grant > Grant::Observe || looks);
            prop_assert!(GRANTS.into_iter().filter(|more| *more > grant).all(|more| may(&caller(more, of))));
            prop_assert!(may(&caller(grant, None)), "a token of the cluster may do no less");
            let on_the_machine = Caller { org: org(acts_in), ..Caller::local_admin() };
            prop_assert!(may(&on_the_machine));
        }
    }
}
