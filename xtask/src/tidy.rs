//! House rules of files: what they open with, how long they are, which words are not used.

use std::path::{Path, PathBuf};

/// Lines beyond which a file holds more than one idea.
const MOST_LINES: usize = 600;
/// Folder and file names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "misc", "manager"];

/// Every breach; empty when all is well.
pub(crate) fn check() -> Vec<String> {
    let mut faults = Vec::new();
    let mut files = Vec::new();
    for root in ["crates", "xtask"] {
        collect(Path::new(root), &mut files, &mut faults);
    }
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => faults.extend(breaches(&file, &text)),
            Err(error) => faults.push(format!("{} cannot be read: {error}", file.display())),
        }
    }
    faults
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>, faults: &mut Vec<String>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            faults.push(format!("{} cannot be read: {error}", folder.display()));
            return;
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, files, faults);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn breaches(file: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        faults.push(format!("{} has {lines} lines, more than {MOST_LINES}", file.display()));
    }
    let opening = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    if !opening.is_some_and(|line| line.starts_with("//!")) {
        faults.push(format!("{} does not open with `//!` saying what it is for", file.display()));
    }
    if file.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| EMPTY_NAMES.contains(&stem)) {
        faults.push(format!("{} has a name that says nothing", file.display()));
    }
    faults
}
