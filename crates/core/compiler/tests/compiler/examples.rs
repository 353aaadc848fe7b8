//! The examples.
use crate::world::*;

#[test]
fn show() {
    for (name, text, set) in [
        ("aurigraph", AURIGRAPH, &[][..]),
        ("freetier", FREETIER, &[]),
        ("freetier+", FREETIER, &["role.bootstrap.size.vcpu=4", "role.bootstrap.size.memory=24Gi"]),
        ("pluresdb", PLURESDB, &[]),
        ("pluresdb m", PLURESDB, &["role.node.host=machine", "environment=prod"]),
    ] {
        println!("=== {name}");
        let c = checked(text, set);
        for (s, list) in [("E", &c.report.errors), ("W", &c.report.warnings), ("F", &c.report.facts)] {
            for f in list {
                println!("{s} {} {} {:?}: {}\n      -> {:?}", f.code, f.path, f.line, f.message, f.hint);
            }
        }
        println!("{}", costed(text, set).table().unwrap_or_default());
        let o = optimized(text, set);
        println!("{}", serde_json::to_string_pretty(&o.document()).unwrap());
        let e = emitted(text, set);
        println!("{:?}", e.files.keys().collect::<Vec<_>>());
        println!("{:?}", told(&e.report.errors));
        for g in e.gaps {
            println!("GAP {g}");
        }
    }
}
