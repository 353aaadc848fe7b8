//! What to show of a daemon's log when a test fails.

/// How many lines of its end.
const END: usize = 25;

/// The lines of a log that tell what went wrong: where it panicked, and its end.
pub(crate) fn telling(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let end = lines.len().saturating_sub(END);
    let panics = lines[..end].iter().enumerate().filter(|(_, line)| line.contains("panicked at"));
    // The line after says why.
    let panics = panics.flat_map(|(at, _)| &lines[at..(at + 2).min(end)]);
    panics.chain(&lines[end..]).copied().collect::<Vec<_>>().join("\n")
}
