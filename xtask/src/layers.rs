//! Arrows between crates point down, and cores touch nothing of the outside.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// What each layer may depend on, besides libraries.
const ALLOWED: &[(&str, &[&str])] = &[
    ("vocabulary", &[]),
    ("core", &["vocabulary", "core"]),
    ("ports", &["vocabulary"]),
    ("drivers", &["vocabulary"]),
    ("adapters", &["vocabulary", "ports", "drivers"]),
    ("services", &["vocabulary", "core", "ports"]),
    ("faces", &["vocabulary", "core", "ports", "services", "faces"]),
    ("binary", &["vocabulary", "core", "ports", "adapters", "services", "faces"]),
    ("tool", &["vocabulary", "core", "ports", "adapters", "services", "faces"]),
];

/// Libraries that reach the outside: none may be in the tree of a core or of the vocabulary.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "reqwest",
    "axum",
    "rusqlite",
    "openraft",
    "libp2p",
    "nix",
    "rustix",
    "getrandom",
    "rand",
];

/// Arrows inside the faces: who may know whom.
const FACE_ARROWS: &[(&str, &str)] = &[
    ("univrs-api", "univrs-dashboard"),
    ("univrs-cli", "univrs-client"),
    ("univrs-cli", "univrs-dashboard"),
    ("univrs-cli", "univrs-lab"),
    ("univrs-cli", "univrs-mcp"),
    ("univrs-api", "univrs-mcp"),
];

/// Arrows inside the cores: who may know whom.
///
/// The emitter takes the plan that the topology makes, and the compiler puts topology, prices and emitter together;
/// who votes it decides by the rule that the running cluster goes by, which is the scheduler's. A template that is a
/// compose file means what the same file means when it is deployed.
/// Each could be one large crate; apart they are tested and measured by themselves. All other cores stay strangers.
const CORE_ARROWS: &[(&str, &str)] = &[
    ("univrs-tofu", "univrs-topology"),
    ("univrs-compiler", "univrs-topology"),
    ("univrs-compiler", "univrs-cost"),
    ("univrs-compiler", "univrs-schedule"),
    ("univrs-compiler", "univrs-tofu"),
    ("univrs-template", "univrs-compose"),
];

/// Every wrong arrow; empty when all is well.
pub(crate) fn check() -> Vec<String> {
    let metadata = match MetadataCommand::new().exec() {
        Ok(metadata) => metadata,
        Err(error) => return vec![format!("cargo metadata failed: {error}")],
    };
    let mut faults = Vec::new();
    let members: BTreeMap<&str, (&Package, &str)> = metadata
        .workspace_packages()
        .into_iter()
        .filter_map(|package| match layer(package) {
            Some(layer) => Some((package.name.as_str(), (package, layer))),
            None => {
                faults.push(format!("{} has no [package.metadata.univrs] layer", package.name));
                None
            }
        })
        .collect();
    for (package, layer) in members.values() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == layer) else {
            faults.push(format!("{} is in the unknown layer `{layer}`", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            let Some((_, below)) = members.get(dependency.name.as_str()) else { continue };
            if !allowed.contains(below) {
                faults.push(format!(
                    "{} ({layer}) may not depend on {} ({below})",
                    package.name, dependency.name
                ));
            }
            let arrow = (package.name.as_str(), dependency.name.as_str());
            if *layer == "faces" && *below == "faces" && !FACE_ARROWS.contains(&arrow) {
                faults.push(format!("face {} may not know face {}", arrow.0, arrow.1));
            }
            if *layer == "core" && *below == "core" && !CORE_ARROWS.contains(&arrow) {
                faults.push(format!("core {} may not know core {}", arrow.0, arrow.1));
            }
        }
        if matches!(*layer, "core" | "vocabulary") {
            faults.extend(impurities(&metadata, package));
        }
    }
    faults
}

fn layer(package: &Package) -> Option<&str> {
    package.metadata.get("univrs")?.get("layer")?.as_str()
}

/// Impure libraries in the tree of `package`, except those it excuses with a reason.
fn impurities(metadata: &Metadata, package: &Package) -> Vec<String> {
    let excused: BTreeSet<&str> = package
        .metadata
        .get("univrs")
        .and_then(|own| own.get("impure"))
        .and_then(|excuses| excuses.as_object())
        .map(|object| {
            object
                .iter()
                .filter(|(_, reason)| reason.as_str().is_some_and(|r| r.len() > 10))
                .map(|(name, _)| name.as_str())
                .collect()
        })
        .unwrap_or_default();
    let Some(resolve) = &metadata.resolve else {
        return vec!["cargo metadata has no dependency graph".to_owned()];
    };
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![&package.id];
    while let Some(id) = open.pop() {
        let Some(node) = nodes.get(id) else { continue };
        for dependency in &node.deps {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            let is_macro = metadata
                .packages
                .iter()
                .any(|p| p.id == dependency.pkg && p.targets.iter().any(|t| t.is_proc_macro()));
            if normal && !is_macro && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    seen.into_iter()
        .filter_map(|id| names.get(id).copied())
        .filter(|name| IMPURE.contains(name) && !excused.contains(name))
        .map(|name| format!("{} reaches the outside through `{name}`; excuse it under [package.metadata.univrs.impure] with a reason, or drop it", package.name))
        .collect()
}
