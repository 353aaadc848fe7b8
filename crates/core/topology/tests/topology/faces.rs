//! What is made of the language and of a plan for people: the schema, the reference, the usual order, the drawings.

use std::collections::BTreeSet;

use expect_test::expect_file;
use proptest::prelude::*;
use univrs_topology::canonical::canonical;
use univrs_topology::source::{Document, Format};
use univrs_topology::{graph, schema, spec};

use crate::world::{AURIGRAPH, FREETIER, PLURESDB, planned};

const EXAMPLES: [&str; 3] = [AURIGRAPH, FREETIER, PLURESDB];

/// What the reader asks for in the table at that path: it says so when it meets a key that is near none.
fn asked(table: &str) -> BTreeSet<String> {
    // A path such as `role.*.ports[].` as JSON around the key.
    let mut text = "{\"zzzzqqqqxxxx\": 0}".to_owned();
    for part in table.split('.').rev().filter(|part| !part.is_empty()) {
        let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        // A service that names its kind is read to its end.
        let name = if name == "*" { "keys" } else { name };
        text = if list { format!("{{\"{name}\": [{text}]}}") } else { format!("{{\"{name}\": {text}}}") };
    }
    let (document, _) = Document::read("t.json", &text, Format::Json, &[]);
    let findings = spec::read(&document).findings.located(&document);
    let hint = findings.iter().find(|f| f.code.as_str() == "unknown-key").and_then(|f| f.hint.clone());
    let hint = hint.unwrap_or_else(|| panic!("{text}: {findings:?}"));
    let known = hint.strip_prefix("known here: ").unwrap_or_else(|| panic!("{hint}"));
    known.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_schema_has_exactly_the_keys_that_are_read() {
    let holders = schema::keys().iter().filter_map(schema::Key::holds);
    for table in std::iter::once(String::new()).chain(holders) {
        let listed: BTreeSet<String> = schema::keys_of(&table).map(|key| key.name().to_owned()).collect();
        assert_eq!(asked(&table), listed, "[{table}]");
    }
}

#[test]
fn every_required_key_is_missed_when_it_is_absent() {
    for key in schema::keys().iter().filter(|key| key.required && !key.table().is_empty()) {
        let table = key.table();
        let mut text = "{}".to_owned();
        for part in table.split('.').rev() {
            let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
            let name = if name == "*" { "keys" } else { name };
            text = if list { format!("{{\"{name}\": [{text}]}}") } else { format!("{{\"{name}\": {text}}}") };
        }
        let (document, _) = Document::read("t.json", &text, Format::Json, &[]);
        let path = format!("{table}.{}", key.name()).replace("[]", "[0]").replace('*', "keys");
        let findings = spec::read(&document).findings.located(&document);
        let missed = findings.iter().any(|f| f.code.as_str() == "missing-key" && f.path == path);
        assert!(missed, "{path}: {findings:?}");
    }
}

#[test]
fn the_committed_schema_is_fresh() {
    expect_file!["../../../../../docs/topology.schema.json"].assert_eq(&schema::text());
}

#[test]
fn the_page_lists_every_key() {
    const MARK: &str =
        "<!-- Written from the table of keys: UPDATE_EXPECT=1 cargo test --workspace --test topology -->\n";
    let page = include_str!("../../../../../docs/topology.md");
    let (before, _) = page.split_once(MARK).unwrap();
    let fresh = format!("{before}{MARK}\n{}", schema::reference());
    expect_file!["../../../../../docs/topology.md"].assert_eq(&format!("{}\n", fresh.trim_end()));
}

/// The tree without its places.
fn meaning(text: &str, format: Format) -> String {
    let (document, findings) = Document::read("t", text, format, &[]);
    assert!(!findings.has_errors(), "{text}");
    format!("{:?}", spec::read(&document).spec)
}

#[test]
fn the_examples_are_in_their_usual_form() {
    for text in EXAMPLES {
        assert_eq!(canonical(text, Format::Toml).unwrap(), text);
    }
}

#[test]
fn order_changes_and_comments_stay() {
    let text = "# head\n\nname='a' # n\n\n# about roles\n[role.b]\n# how many\ncount=2 \n\n# where\n[[region]]\nname=\"eastus\"\ncloud=\"azure\"\n";
    let expected = "# head\n\nname = 'a' # n\n\n# where\n[[region]]\ncloud = \"azure\"\nname = \"eastus\"\n\n# about roles\n[role.b]\n# how many\ncount = 2\n";
    let fresh = canonical(text, Format::Toml).unwrap();
    assert_eq!(fresh, expected);
    let json = "{\"region\": [{\"name\": \"eastus\", \"cloud\": \"azure\"}], \"name\": \"a\"}";
    let expected = "{\n  \"name\": \"a\",\n  \"region\": [\n    {\n      \"cloud\": \"azure\",\n      \"name\": \"eastus\"\n    }\n  ]\n}\n";
    assert_eq!(canonical(json, Format::Json).unwrap(), expected);
    assert!(canonical("{\"a\": 1, \"a\": 2}", Format::Json).is_err());
    assert!(canonical("a = ", Format::Toml).is_err());
    assert!(canonical("name: a # c\n", Format::Yaml).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the tables of an example are ordered, they mean the same before and after, and come out the same twice.
    #[test]
    fn meaning_never_changes(example in 0usize..3, order in prop::collection::vec(any::<u32>(), 40)) {
        let text = EXAMPLES[example];
        let (head, rest) = text.split_once("\n[").unwrap();
        let rest = format!("[{rest}");
        let starts = rest.match_indices("\n[").map(|(at, _)| at + 1);
        let starts: Vec<usize> = std::iter::once(0).chain(starts).chain([rest.len()]).collect();
        let mut parts: Vec<&str> = starts.windows(2).map(|ends| &rest[ends[0]..ends[1]]).collect();
        // Regions keep their order among themselves: addresses depend on it. So do names of one's own.
        let keyed = |part: &str| part.starts_with("[[") || part.starts_with("[role") || part.starts_with("[service");
        let (stay, mut go): (Vec<&str>, Vec<&str>) = parts.drain(..).partition(|part| keyed(part));
        go.sort_by_key(|part| order[part.len() % order.len()]);
        let mixed = format!("{head}\n{}\n{}", go.join("\n"), stay.join("\n"));
        let fresh = canonical(&mixed, Format::Toml).unwrap();
        prop_assert_eq!(meaning(&mixed, Format::Toml), meaning(&fresh, Format::Toml));
        prop_assert_eq!(canonical(&fresh, Format::Toml).unwrap(), fresh);
    }
}

#[test]
fn drawings_show_every_region_gateway_and_tunnel() {
    let plan = planned(EXAMPLES[0], &[]);
    let (map, chart) = (graph::svg(&plan), graph::mermaid(&plan));
    assert_eq!(map.matches("class=\"tunnel\"").count(), 15);
    assert_eq!(map.matches("class=\"gate\"").count(), 6);
    assert_eq!(map.matches("class=\"dns\"").count(), 6);
    assert_eq!(chart.matches("wireguard").count(), 15);
    for region in &plan.regions {
        assert!(map.contains(&region.cidr.to_string()) && chart.contains(&region.cidr.to_string()));
    }
    assert!(map.contains("api.example.net") && map.starts_with("<svg ") && map.ends_with("</svg>\n"));
    assert_eq!(map.matches("<text").count(), map.matches("</text>").count());
}
