//! The language: formats equal by meaning, overrides, places.

use univrs_topology::finding::Report;
use univrs_topology::source::{Document, Format, Node, Value};

use crate::world::{AURIGRAPH, FREETIER, PLURESDB, compiled, formatted, planned};

/// The tree as JSON, which is also YAML.
fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Table(table) => {
            let entries = table.entries().iter().map(|entry| (entry.key.clone(), json(&entry.node)));
            serde_json::Value::Object(entries.collect())
        }
    }
}

#[test]
fn toml_json_and_yaml_mean_the_same() {
    for text in [AURIGRAPH, FREETIER, PLURESDB] {
        let (document, _) = Document::read("x.toml", text, Format::Toml, &[]);
        let as_json = serde_json::to_string_pretty(&json(document.root())).unwrap();
        let wanted = planned(text, &[]);
        for format in [Format::Json, Format::Yaml] {
            let compiled = formatted(&as_json, format, &[]);
            assert!(!compiled.has_errors(), "{format:?}: {:#?}", compiled.findings);
            // Roles come in the order of the text, which serde_json sorts; addresses follow it.
            let plan = compiled.plan.unwrap();
            assert_eq!(plan.machines().count(), wanted.machines().count());
            assert_eq!(plan.resources, wanted.resources);
            assert_eq!(plan.budget, wanted.budget);
        }
    }
}

#[test]
fn yaml_is_read_with_anchors_and_places() {
    let text = "name: web\nregion:\n  - {cloud: aws, name: us-east-1}\nrole:\n  a: &base\n    count: 2\n    machine: {aws: t3.large}\n    ports:\n      - port: 80\n        from: intranet\n  b: *base\n";
    let compiled = formatted(text, Format::Yaml, &[]);
    let found: Vec<_> =
        compiled.findings.iter().map(|f| (f.code.as_str(), f.path.as_str(), f.line, f.column)).collect();
    assert_eq!(
        found,
        [
            ("bad-value", "role.a.ports[0].from", Some(10), Some(9)),
            ("bad-value", "role.b.ports[0].from", Some(10), Some(9)),
        ]
    );
}

#[test]
fn overrides_reach_keys_entries_and_regions() {
    for (set, path, value) in [
        ("role.validator.count=8", "/role/validator/count", serde_json::json!(8)),
        ("region[1].cidr=10.9.0.0/16", "/region/1/cidr", serde_json::json!("10.9.0.0/16")),
        ("region.1.cidr=10.9.0.0/16", "/region/1/cidr", serde_json::json!("10.9.0.0/16")),
        ("region.aws:us-west-2.cidr=10.9.0.0/16", "/region/1/cidr", serde_json::json!("10.9.0.0/16")),
        ("role.slim.disk=24Gi", "/role/slim/disk", serde_json::json!("24Gi")),
        ("role.slim.interruptible=true", "/role/slim/interruptible", serde_json::json!(true)),
        (
            "network.admin_cidrs=[\"198.51.100.0/24\"]",
            "/network/admin_cidrs/0",
            serde_json::json!("198.51.100.0/24"),
        ),
        ("new.key=1", "/new/key", serde_json::json!(1)),
        ("owner=a = b", "/owner", serde_json::json!("a = b")),
    ] {
        let (document, findings) = Document::read("x.toml", AURIGRAPH, Format::Toml, &[set.to_owned()]);
        assert!(findings.is_empty(), "{set}");
        assert_eq!(json(document.root()).pointer(path), Some(&value), "{set}");
    }
    for set in ["count", "=3", "a..b=1", "region.9.cidr=x", "region.aws:nowhere.cidr=x", "name.x=1"] {
        let compiled = compiled(AURIGRAPH, &[set]);
        assert_eq!(compiled.findings[0].code.as_str(), "bad-override", "{set}");
    }
}

#[test]
fn findings_know_line_and_column_and_what_was_meant() {
    let text = AURIGRAPH.replace("[role.slim]\ncount", "[role.slim]\ncuont");
    let compiled = compiled(&text, &[]);
    let report = Report::from(compiled.findings);
    let unknown = report.errors.iter().find(|finding| finding.code.as_str() == "unknown-key").unwrap();
    assert_eq!(unknown.path, "role.slim.cuont");
    assert_eq!(unknown.hint.as_deref(), Some("did you mean `count`?"));
    let line = text.lines().position(|line| line.starts_with("cuont")).unwrap() + 1;
    assert_eq!((unknown.line, unknown.column), (Some(u32::try_from(line).unwrap()), Some(1)));
    assert!(report.errors.iter().any(|f| f.code.as_str() == "missing-key" && f.path == "role.slim.count"));
}

#[test]
fn accepted_warnings_become_facts() {
    let allow = "\n[[allow]]\ncode = \"rule-not-enforced\"\npath = \"role.node\"\nreason = \"a test bed\"\n";
    let report = Report::from(compiled(&format!("{PLURESDB}{allow}"), &[]).findings);
    assert_eq!((report.errors.len(), report.warnings.len(), report.facts.len()), (0, 0, 3));
    assert!(report.facts[0].message.ends_with("(accepted: a test bed)"));
}
