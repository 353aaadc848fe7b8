//! The files of the repository, and what of it documents may name.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Folders that are made or fetched.
const NOT_OURS: &[&str] = &["target", "node_modules", "vendor", ".git"];

/// What there is.
pub(super) struct Tree {
    /// Files and folders, relative to the root, with `/` between their parts.
    paths: BTreeSet<String>,
    /// Targets of the Makefile.
    targets: BTreeSet<String>,
    /// Routes of the API, in parts.
    routes: Vec<Vec<String>>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let mut paths = BTreeSet::new();
        collect(root, "", &mut paths)?;
        let makefile = std::fs::read_to_string(root.join("Makefile"))?;
        let targets = makefile.lines().filter_map(|line| {
            let (name, _) = line.split_once(':')?;
            name.chars().all(|c| c.is_ascii_lowercase() || c == '-').then(|| name.to_owned())
        });
        let api = std::fs::read_to_string(root.join("openapi/univrs.json"))?;
        let api: serde_json::Value = serde_json::from_str(&api)?;
        let routes = api["paths"].as_object().into_iter().flat_map(|paths| paths.keys());
        Ok(Self { paths, targets: targets.collect(), routes: routes.map(|route| parts(route)).collect() })
    }

    pub(super) fn text(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    /// Files and folders whose names end so.
    pub(super) fn files_with<'a>(&'a self, ending: &str) -> impl Iterator<Item = &'a str> {
        self.paths.iter().map(String::as_str).filter(move |path| path.ends_with(ending))
    }

    /// Whether this file or folder exists. With a `*` its folder has to.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        match path.split_once('*') {
            Some((before, _)) => {
                self.paths.contains(before.rsplit_once('/').map_or("", |(folder, _)| folder))
            }
            None => self.paths.contains(path),
        }
    }

    /// Whether a path that a document at `from` links to exists.
    pub(super) fn has_from(&self, from: &str, link: &str) -> bool {
        let mut whole: Vec<&str> = from.split('/').collect();
        whole.pop();
        for part in link.trim_end_matches('/').split('/') {
            match part {
                "." => {}
                ".." => drop(whole.pop()),
                part => whole.push(part),
            }
        }
        whole.is_empty() || self.has(&whole.join("/"))
    }

    /// Whether some file or module below `folder` has this name, or a path that ends so.
    pub(super) fn has_below(&self, folder: &str, name: &str) -> bool {
        let name = name.trim_end_matches('/');
        let (plain, module) = (format!("/{name}"), format!("/{name}.rs"));
        let below = |path: &&String| path.starts_with(folder) && path[folder.len()..].starts_with('/');
        self.paths.iter().filter(below).any(|path| path.ends_with(&plain) || path.ends_with(&module))
    }

    /// Whether the first part of a path is something in the root.
    pub(super) fn begins_at_the_root(&self, path: &str) -> bool {
        path.split('/').next().is_some_and(|first| self.paths.contains(first))
    }

    pub(super) fn has_target(&self, target: &str) -> bool {
        self.targets.contains(target)
    }

    /// Whether the API has a route like this. What is in braces, or stands for a name, matches anything.
    pub(super) fn has_route(&self, route: &str) -> bool {
        let wanted = parts(route);
        let open =
            |part: &str| part.starts_with('{') || part.chars().all(|c| c.is_ascii_uppercase() || c == '…');
        let fits = |known: &Vec<String>| {
            known.len() == wanted.len()
                && known.iter().zip(&wanted).all(|(known, part)| known == part || open(known) || open(part))
        };
        self.routes.iter().any(fits)
    }
}

fn parts(route: &str) -> Vec<String> {
    route.trim_matches('/').split('/').map(str::to_owned).collect()
}

fn collect(folder: &Path, name: &str, paths: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(own) = entry.file_name().into_string() else { continue };
        if NOT_OURS.contains(&own.as_str()) {
            continue;
        }
        let path = if name.is_empty() { own } else { format!("{name}/{own}") };
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, paths)?;
        }
        paths.insert(path);
    }
    Ok(())
}
