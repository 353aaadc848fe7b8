//! Reading comma-separated rows with their line numbers. Fields may be quoted; a quote inside a field is refused.

use super::fault::{Fault, Reason};

/// One row and the line it stands on.
pub(super) struct Row<'a, const N: usize> {
    pub(super) file: &'static str,
    pub(super) line: usize,
    pub(super) fields: [&'a str; N],
}

impl<const N: usize> Row<'_, N> {
    /// A fault on this row.
    pub(super) fn fault(&self, reason: Reason) -> Fault {
        Fault { file: self.file, line: self.line, reason }
    }

    /// A fault in one field of this row.
    pub(super) fn value(&self, column: &'static str, value: &str, why: impl ToString) -> Fault {
        self.fault(Reason::Value { column, value: value.to_owned(), why: why.to_string() })
    }
}

/// The rows of `text` under the header `columns`; rows that cannot be read become faults.
pub(super) fn rows<'a, const N: usize>(
    file: &'static str,
    columns: &'static str,
    text: &'a str,
    faults: &mut Vec<Fault>,
) -> Vec<Row<'a, N>> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line);
    if header != columns {
        let reason = Reason::Columns { found: header.to_owned(), expected: columns };
        faults.push(Fault { file, line: 1, reason });
        return Vec::new();
    }
    let mut rows = Vec::new();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match split(line) {
            Ok(fields) => rows.push(Row { file, line: index + 1, fields }),
            Err(reason) => faults.push(Fault { file, line: index + 1, reason }),
        }
    }
    rows
}

fn split<const N: usize>(line: &str) -> Result<[&str; N], Reason> {
    let mut fields = [""; N];
    let mut found = 0;
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (field, after) = match text.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = quoted.split_once('"').ok_or(Reason::Quote)?;
                match after.strip_prefix(',') {
                    Some(after) => (field, Some(after)),
                    None if after.is_empty() => (field, None),
                    None => return Err(Reason::Quote),
                }
            }
            None => match text.split_once(',') {
                Some((field, after)) => (field, Some(after)),
                None => (text, None),
            },
        };
        if let Some(slot) = fields.get_mut(found) {
            *slot = field.trim();
        }
        found += 1;
        rest = after;
    }
    if found == N { Ok(fields) } else { Err(Reason::Fields { found, expected: N }) }
}
