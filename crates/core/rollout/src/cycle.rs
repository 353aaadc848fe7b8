//! Circles of workloads that wait for one another, which would wait for ever.

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::name::Name;
use univrs_model::workload::WorkloadSpec;

/// A circle of dependencies among the workloads of one organisation, if there is one: each waits for the next,
/// the last for the first. Dependencies on workloads that are not given are left out.
#[must_use]
pub fn find_cycle<'a>(specs: impl IntoIterator<Item = &'a WorkloadSpec>) -> Option<Vec<Name>> {
    let edges: BTreeMap<&Name, Vec<&Name>> = specs
        .into_iter()
        .map(|spec| (&spec.name, spec.depends_on.iter().map(|d| &d.workload).collect()))
        .collect();
    let mut cleared: BTreeSet<&Name> = BTreeSet::new();
    for start in edges.keys() {
        // Depth first without recursion: the way from `start`, and for each place on it the next edge to take.
        let mut way: Vec<(&Name, usize)> = vec![(start, 0)];
        let mut on_way: BTreeSet<&Name> = BTreeSet::from([*start]);
        while let Some((at, next)) = way.last_mut() {
            if cleared.contains(*at) {
                on_way.remove(*at);
                way.pop();
                continue;
            }
            let Some(to) = edges.get(*at).and_then(|to| to.get(*next)).copied() else {
                cleared.insert(*at);
                on_way.remove(*at);
                way.pop();
                continue;
            };
            *next += 1;
            if on_way.contains(to) {
                let circle = way.iter().map(|(name, _)| *name).skip_while(|name| *name != to);
                return Some(circle.cloned().collect());
            }
            if edges.contains_key(to) && !cleared.contains(to) {
                on_way.insert(to);
                way.push((to, 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use univrs_model::workload::WorkloadSpec;

    use super::find_cycle;

    fn circle(edges: &[(&str, &[&str])]) -> Option<Vec<String>> {
        let specs: Vec<WorkloadSpec> = edges
            .iter()
            .map(|(name, to)| {
                let to: Vec<_> = to.iter().map(|to| serde_json::json!({ "workload": to })).collect();
                serde_json::from_value(serde_json::json!({"name": name, "image": "i", "depends_on": to}))
                    .unwrap()
            })
            .collect();
        Some(find_cycle(&specs)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn circles_are_found_and_diamonds_are_none() {
        assert_eq!(circle(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]), None);
        assert_eq!(circle(&[("a", &["b"]), ("b", &["gone"])]), None);
        assert_eq!(
            circle(&[("x", &["a"]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])]).unwrap(),
            ["a", "b", "c"]
        );
        assert_eq!(circle(&[("a", &["a"])]).unwrap(), ["a"]);
    }
}
