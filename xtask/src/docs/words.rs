//! What a text names: links, paths, targets of the Makefile, routes of the API. Pure.

/// Something that a document names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// What reads like a path of the repository.
    Path(&'a str),
    /// After `make`.
    Target(&'a str),
    /// A route of the API.
    Route(&'a str),
}

/// Targets of links to files, with their lines, without what follows `#`.
pub(super) fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        line.split("](").skip(1).filter_map(move |rest| {
            let target = rest.split([')', '#']).next()?;
            let is_file = !target.is_empty() && !target.contains("://") && !target.contains(' ');
            is_file.then_some((number + 1, target))
        })
    })
}

/// What spans and blocks of code name, with their lines.
pub(super) fn words(text: &str) -> Vec<(usize, Word<'_>)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.extend(in_code(line).map(|word| (number + 1, word)));
        } else {
            found.extend(spans(line).flat_map(in_code).map(|word| (number + 1, word)));
        }
    }
    found
}

fn in_code(code: &str) -> impl Iterator<Item = Word<'_>> {
    // What follows `#` is told to the reader.
    let code = code.split(" #").next().unwrap_or(code);
    let mut targets = code.trim().strip_prefix("make ").is_some();
    code.split_whitespace().skip(usize::from(targets)).filter_map(move |word| {
        let word = word.trim_matches(['"', '\'', '(', ')', ',', ';', '.', '…']);
        targets = targets && !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if targets {
            return Some(Word::Target(word));
        }
        // Of a command that is run there, or of a key with a value.
        let word = word.split('?').next().unwrap_or(word);
        let word = word.rsplit(['=', '@', ':']).next().unwrap_or(word);
        // Alone, or behind a port.
        if let Some(at) = word.find("/api/")
            && word[..at].chars().all(|c| c.is_ascii_digit())
        {
            return Some(Word::Route(word[at..].split(['"', '\'']).next().unwrap_or(word)));
        }
        let is_path = word.contains('/')
            && !word.starts_with(['/', '.', '-', '~'])
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-*".contains(c));
        is_path.then_some(Word::Path(word))
    })
}

/// The code map: line, folders of the crates, and what is named of them.
pub(super) fn code_map(text: &str) -> Vec<(usize, Vec<&str>, &str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [_, places, rest, ..] = cells.as_slice() else { continue };
        let places: Vec<&str> = spans(places).filter(|place| place.starts_with("crates/")).collect();
        if !places.is_empty() {
            // What has a space in it is a command.
            let names = spans(rest).filter(|name| !name.contains(' '));
            found.extend(names.map(|name| (number + 1, places.clone(), name)));
        }
    }
    found
}

fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Documents named in sources, with their lines.
pub(super) fn documents(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        line.match_indices("docs/").filter_map(move |(at, _)| {
            let rest = &line[at..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)));
            let path = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            let before = line[..at].trim_end_matches("../").chars().next_back();
            let alone = before.is_none_or(|c| !(c.is_ascii_alphanumeric() || "/_-".contains(c)));
            (alone && path.ends_with(".md")).then_some((number + 1, path))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Word, code_map, documents, links, words};

    #[test]
    fn code_names_paths_targets_and_routes_and_prose_names_nothing() {
        let text = "See `scripts/test.sh`, `a/api/src/b.rs`, and make it; `make check`, GET `/api/nodes/{name}?limit=1`.\n\n    make demo    # the main job\n    univrs topology cost examples/a.toml\n    curl -d @x localhost:8080/api/workloads \\\n";
        let found: Vec<Word<'_>> = words(text).into_iter().map(|(_, word)| word).collect();
        let wanted = [
            Word::Path("scripts/test.sh"),
            Word::Path("a/api/src/b.rs"),
            Word::Target("check"),
            Word::Route("/api/nodes/{name}"),
            Word::Target("demo"),
            Word::Path("examples/a.toml"),
            Word::Route("/api/workloads"),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn links_end_before_their_anchor_and_other_sites_are_left_alone() {
        let text = "[a](a/b.md#part) [b](https://example.org/b.md)\n[c](#here) [d](../d.md)";
        assert_eq!(links(text).collect::<Vec<_>>(), [(1, "a/b.md"), (2, "../d.md")]);
    }

    #[test]
    fn the_code_map_names_things_of_a_crate() {
        let text = "| core | `crates/core/cost` | `book` the prices; `a/b.rs` more |\n| `x` | y |";
        let places = vec!["crates/core/cost"];
        assert_eq!(code_map(text), [(1, places.clone(), "book"), (1, places, "a/b.rs")]);
    }

    #[test]
    fn sources_send_readers_to_documents() {
        let text = "// see docs/mcp.md.\n/// `https://x.org/docs/a.md`, \"docs/errors/{}.md\" and ../../docs/emit.md";
        assert_eq!(documents(text).collect::<Vec<_>>(), [(1, "docs/mcp.md"), (2, "docs/emit.md")]);
    }
}
