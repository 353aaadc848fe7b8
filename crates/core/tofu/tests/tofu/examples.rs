//! The three examples in all their environments.

use crate::world::{AURIGRAPH, FREETIER, PLURESDB, complaints, emitted};

const CASES: &[(&str, &[&str])] = &[
    (AURIGRAPH, &[]),
    (FREETIER, &[]),
    (FREETIER, &["role.bootstrap.size.vcpu=4", "role.bootstrap.size.memory=24Gi"]),
    (PLURESDB, &[]),
    (PLURESDB, &["environment=dev"]),
    (PLURESDB, &["environment=prod"]),
    (PLURESDB, &["role.node.host=machine"]),
    (PLURESDB, &["role.node.expose=private"]),
    (PLURESDB, &["role.node.persistence=files"]),
];

#[test]
fn every_file_passes_the_checker() {
    for (text, set) in CASES {
        let emission = emitted(text, set);
        assert_eq!(complaints(&emission.files), Vec::<String>::new(), "{set:?}");
    }
}
