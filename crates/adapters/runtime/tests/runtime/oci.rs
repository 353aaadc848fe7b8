//! OCI containers against the conformance suite, one node for each check.

use univrs_ports::runtime::conformance::checks;

use crate::bundle::{Node, obstacle};
use crate::harness::{Outcome, Test};

/// Adds the tests.
pub(crate) fn add(tests: &mut Vec<Test>) {
    for check in checks() {
        tests.push(Test::new(format!("oci::{}", check.name), move || async move {
            if let Some(reason) = obstacle() {
                return Outcome::LeftOut(reason);
            }
            let node = Node::new();
            check.run(&node).await;
            Outcome::Passed
        }));
    }
}
