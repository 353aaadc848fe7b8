//! `docs/adr/README.md`: the list of decisions, written from their titles.

use super::tree::Tree;

const FOLDER: &str = "docs/adr/";
const LIST: &str = "docs/adr/README.md";

/// Decisions without a proper title, and a list that is not theirs.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    match list(tree) {
        Err(faults) => faults,
        Ok(list) => match tree.text(LIST) {
            Ok(text) if text == list => Vec::new(),
            _ => vec![format!("{LIST} is not what the decisions say; run: cargo xtask write-decisions")],
        },
    }
}

/// Writes the list anew.
pub(crate) fn write() -> Vec<String> {
    let tree = match Tree::read(std::path::Path::new(".")) {
        Ok(tree) => tree,
        Err(error) => return vec![format!("the repository cannot be read: {error}")],
    };
    match list(&tree) {
        Err(faults) => faults,
        Ok(list) => match std::fs::write(LIST, list) {
            Ok(()) => Vec::new(),
            Err(error) => vec![format!("{LIST} cannot be written: {error}")],
        },
    }
}

fn list(tree: &Tree) -> Result<String, Vec<String>> {
    let mut list = String::from("# Decisions\n\nWhat was decided, why, and what was given up for it.\n\n");
    let mut faults = Vec::new();
    let decisions = tree.files_with(".md").filter(|path| path.starts_with(FOLDER) && *path != LIST);
    for (index, path) in decisions.enumerate() {
        let file = &path[FOLDER.len()..];
        let number = index + 1;
        if !file.starts_with(&format!("{number:04}-")) {
            faults.push(format!("{path}: the decision after number {index} is number {number}"));
        }
        let text = tree.text(path).unwrap_or_default();
        match text.lines().next().and_then(|line| line.strip_prefix(&format!("# {number}. "))) {
            Some(title) => list.push_str(&format!("{number}. [{title}]({file})\n")),
            None => faults.push(format!("{path} does not begin with `# {number}. TITLE`")),
        }
    }
    if faults.is_empty() { Ok(list) } else { Err(faults) }
}
