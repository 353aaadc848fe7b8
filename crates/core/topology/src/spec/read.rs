//! Reads the whole tree, in the order in which a topology file is best read.

use std::cell::RefCell;

use univrs_model::name::Name;

use super::reader::{Reader, Shared};
use super::{Allow, BackupRule, Spec, account, network, objectives, role, service, traffic};
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::source::{Document, Table, Value};

/// What was read, as far as it could be.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What the file says; where a value was wrong, a harmless one stands in its place.
    pub spec: Spec,
    /// Everything found wrong.
    pub findings: Findings,
}

/// Reads `document` for the environment it names.
pub fn read(document: &Document) -> Parsed {
    let nothing = Table::default();
    let table = match &document.root().value {
        Value::Table(table) => table,
        _ => &nothing,
    };
    let environment = match table.get("environment").map(|entry| &entry.node.value) {
        Some(Value::Text(text)) => text.clone(),
        _ => "default".to_owned(),
    };
    let shared = Shared { environment, findings: RefCell::default() };
    let spec = read_root(Reader::new(&shared, table, String::new()));
    Parsed { spec, findings: shared.findings.into_inner() }
}

fn read_root(root: Reader<'_>) -> Spec {
    let name = name(&root, "name");
    if root.raw("name").is_none() {
        root.missing("name");
    }
    let environment = self::name(&root, "environment");
    let roles = root.table_or_empty("role");
    let services = root.table_or_empty("service");
    let backup = root.table("backup").map(|reader| {
        let rule = BackupRule { schedule: reader.parsed("schedule"), retention: reader.parsed("retention") };
        reader.finish();
        rule
    });
    let auto_shutdown = root.table("schedule").and_then(|reader| {
        let time = reader.text_at("auto_shutdown");
        let time = time.filter(|(time, path)| is_time_of_day(&reader, time, path)).map(|(time, _)| time);
        reader.finish();
        time
    });
    let spec = Spec {
        name: name.unwrap_or_else(Name::default_org),
        environment: environment.unwrap_or_else(Name::default_org),
        owner: root.text("owner"),
        tags: root.texts("tags"),
        network: network::read(root.table_or_empty("network")),
        regions: root.tables("region").into_iter().filter_map(network::read_region).collect(),
        roles: roles
            .named_tables()
            .into_iter()
            .filter_map(|(name, reader)| role::read(name, reader))
            .collect(),
        services: services
            .named_tables()
            .into_iter()
            .filter_map(|(name, reader)| service::read(name, reader))
            .collect(),
        links: root.tables("link").into_iter().filter_map(network::read_link).collect(),
        traffic: traffic::read(root.table_or_empty("traffic")),
        objectives: objectives::read(root.table_or_empty("objectives")),
        budget: root.table("budget").and_then(objectives::read_budget),
        account: account::read(root.table_or_empty("account")),
        outputs: root.texts("outputs"),
        backup,
        auto_shutdown,
        allow: root.tables("allow").into_iter().filter_map(read_allow).collect(),
    };
    root.finish();
    spec
}

fn name(root: &Reader<'_>, key: &'static str) -> Option<Name> {
    let (text, path) = root.text_at(key)?;
    let name = text.parse::<Name>();
    name.map_err(|error| root.shared.note(Finding::new(Code::BadName, path, error.to_string()))).ok()
}

fn is_time_of_day(reader: &Reader<'_>, time: &str, path: &str) -> bool {
    let two = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = time.strip_suffix('Z').and_then(|time| time.split_once(':')).unwrap_or_default();
    let good = two(hours) && two(minutes) && hours < "24" && minutes < "60";
    if !good {
        let message = format!("`{}` is not a time of day in UTC", time.chars().take(80).collect::<String>());
        reader.shared.note(Finding::new(Code::BadValue, path, message).hint("write `20:00Z`"));
    }
    good
}

fn read_allow(reader: Reader<'_>) -> Option<Allow> {
    let code = reader.parsed::<Code>("code");
    let path = reader.text("path");
    let reason = reader.text("reason");
    for key in ["code", "reason"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    reader.finish();
    Some(Allow { code: code?.to_string(), path, reason: reason? })
}
