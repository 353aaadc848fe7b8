//! What documents promise of the repository: links lead somewhere, files and targets that are named exist, routes are
//! in the API's description, and the list of decisions is complete.
//!
//! Commands and flags that documents name are checked beside the grammar they belong to, in
//! `crates/faces/cli/tests/cli/documented.rs`.

mod decisions;
mod tree;
mod words;

use std::path::Path;

use tree::Tree;
use words::Word;

pub(crate) use decisions::write as write_decisions;

/// Made when the program is built.
const BUILT: &[&str] = &["crates/faces/dashboard/assets/site"];
/// A list of sources elsewhere: its paths are of other repositories.
const OF_OTHERS: &[&str] = &["data/SOURCES.md"];

/// Every promise that does not hold; empty when all is well.
pub(crate) fn check() -> Vec<String> {
    match Tree::read(Path::new(".")) {
        Ok(tree) => {
            let mut faults = in_documents(&tree);
            faults.extend(in_code(&tree));
            faults.extend(decisions::check(&tree));
            faults
        }
        Err(error) => vec![format!("the repository cannot be read: {error}")],
    }
}

fn in_documents(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for path in tree.files_with(".md") {
        let text = match tree.text(path) {
            Ok(text) => text,
            Err(error) => {
                faults.push(format!("{path} cannot be read: {error}"));
                continue;
            }
        };
        let tell = |line: usize, fault: String| format!("{path}:{line}: {fault}");
        for (line, link) in words::links(&text) {
            if !tree.has_from(path, link) {
                faults.push(tell(line, format!("the link `{link}` leads nowhere")));
            }
        }
        if OF_OTHERS.contains(&path) {
            continue;
        }
        for (line, word) in words::words(&text) {
            faults.extend(fault_of(tree, &word).map(|fault| tell(line, fault)));
        }
        if path == "ARCHITECTURE.md" {
            for (line, places, name) in words::code_map(&text) {
                if !tree.has(name) && !places.iter().any(|place| tree.has_below(place, name)) {
                    faults.push(tell(line, format!("there is no `{name}` in `{}`", places.join("`, `"))));
                }
            }
        }
    }
    faults
}

fn fault_of(tree: &Tree, word: &Word<'_>) -> Option<String> {
    match word {
        Word::Path(path) => {
            let is_source = path.ends_with(".rs");
            let known = BUILT.contains(path)
                || tree.has(path)
                || is_source && tree.has_below("crates", path)
                || !is_source && !tree.begins_at_the_root(path);
            (!known).then(|| format!("there is no `{path}`"))
        }
        Word::Target(target) => {
            (!tree.has_target(target)).then(|| format!("the Makefile has no target `{target}`"))
        }
        Word::Route(route) => {
            (!tree.has_route(route)).then(|| format!("openapi/univrs.json has no route `{route}`"))
        }
    }
}

/// Documents that sources and scripts send their readers to.
fn in_code(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for ending in [".rs", ".toml", ".sh", ".ts", ".tsx"] {
        for path in tree.files_with(ending) {
            let Ok(text) = tree.text(path) else { continue };
            for (line, document) in words::documents(&text) {
                if !tree.has(document) {
                    faults.push(format!("{path}:{line}: there is no `{document}`"));
                }
            }
        }
    }
    faults
}
