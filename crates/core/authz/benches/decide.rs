//! How long one decision takes. It is asked for on every request, so it has to stay well below 100 µs.

use univrs_authz::{Action, Authorizer, Object};
use univrs_model::caller::{Caller, Grant, Principal};
use univrs_model::ids::TokenId;

const WEB: Object<'_> = Object { kind: "workload", org: Some("default"), name: "web" };

fn main() {
    divan::main();
}

fn token(grant: Grant) -> Principal {
    let org = Some(univrs_model::name::Name::default_org());
    Principal::Token { id: TokenId::from_bits(7), grant, direct: false, org }
}

fn measure(bencher: divan::Bencher<'_, '_>, principal: Principal, action: Action) {
    let authorizer = Authorizer::new().expect("the built-in rules are good");
    let caller = Caller { principal, ..Caller::local_admin() };
    bencher.bench_local(|| authorizer.decide(&caller, action, &WEB));
}

#[divan::bench]
fn local_admin_is_allowed(bencher: divan::Bencher<'_, '_>) {
    measure(bencher, Principal::LocalAdmin, Action::WorkloadWrite);
}

#[divan::bench]
fn token_is_allowed(bencher: divan::Bencher<'_, '_>) {
    let principal = token(Grant::Operate);
    measure(bencher, principal, Action::WorkloadWrite);
}

#[divan::bench]
fn token_is_denied(bencher: divan::Bencher<'_, '_>) {
    let principal = token(Grant::Observe);
    measure(bencher, principal, Action::WorkloadWrite);
}

#[divan::bench]
fn making_an_authorizer() -> Authorizer {
    Authorizer::new().expect("the built-in rules are good")
}
