//! Text to a tree of values that know their place in it: TOML, YAML or JSON, equal by meaning.

mod json;
mod overrides;
mod toml;
mod yaml;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::codes::Code;
use crate::finding::{Finding, Findings};

/// Files larger than this are refused unread.
pub const MOST_BYTES: usize = 8 << 20;
/// Tables and lists may be nested so deep.
pub const MOST_DEPTH: usize = 64;
/// A document has at most so many values, aliases counted with what they stand for.
pub const MOST_VALUES: usize = 200_000;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.1.
    Toml,
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// The format that the ending of a file name stands for; TOML when it stands for none.
    pub fn of(file: &str) -> Self {
        match file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            _ => Self::Toml,
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its bytes in the text; absent when it comes from `--set`.
    pub span: Option<Range<usize>>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null` of YAML and JSON: as if the key were absent.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by key.
    Table(Table),
}

impl Value {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A value of a table with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The bytes of the key in the text.
    pub key_span: Option<Range<usize>>,
    /// The value.
    pub node: Node,
}

/// Values by key, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    entries: Vec<Entry>,
    index: BTreeMap<String, usize>,
}

impl Table {
    /// All entries in the order of the text.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).map(|index| &self.entries[*index])
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.index.get(key).map(|index| &mut self.entries[*index])
    }

    /// Adds an entry; gives it back when the key is there already.
    fn insert(&mut self, entry: Entry) -> Result<(), Entry> {
        if self.index.contains_key(&entry.key) {
            return Err(entry);
        }
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        Ok(())
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A text that has been read.
#[derive(Clone, Debug)]
pub struct Document {
    file: String,
    text: String,
    line_starts: Vec<usize>,
    root: Node,
}

impl Document {
    /// Reads `text`, called `file` in findings, and applies `overrides` (`path=value`) in order.
    ///
    /// The document holds what could be read even when there are findings, so that later stages can say more.
    pub fn read(file: &str, text: &str, format: Format, overrides: &[String]) -> (Self, Findings) {
        let mut findings = Findings::default();
        let mut document = Self {
            file: file.to_owned(),
            text: String::new(),
            line_starts: vec![0],
            root: Node { value: Value::Table(Table::default()), span: None },
        };
        if text.len() > MOST_BYTES {
            let message = format!("the file has {} bytes, more than {MOST_BYTES}", text.len());
            findings.push(Finding::new(Code::FileTooLarge, "", message).hint("is it the right file?"));
            return (document, findings);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        text.clone_into(&mut document.text);
        document
            .line_starts
            .extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        let mut builder =
            Builder { findings: &mut findings, line_starts: &document.line_starts, text, values: 0 };
        let root = match format {
            Format::Toml => toml::read(&mut builder),
            Format::Yaml => yaml::read(&mut builder),
            Format::Json => json::read(&mut builder),
        };
        match root {
            Some(root) if matches!(root.value, Value::Table(_)) => document.root = root,
            Some(root) => {
                let message = format!("a topology is a table of keys, not {}", root.value.kind());
                findings.push(Finding::new(Code::WrongType, "", message));
            }
            None => {}
        }
        for text in overrides {
            if let Err(finding) = overrides::apply(&mut document.root, text) {
                findings.push(finding);
            }
        }
        (document, findings)
    }

    /// Name of the file, as findings show it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The tree.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Where the value of `path`, or the nearest thing around it, stands.
    pub fn place(&self, path: &str) -> Option<Place> {
        let mut best = None;
        let (mut node, mut rest) = (&self.root, path);
        while !rest.is_empty() {
            let next = match &node.value {
                Value::Table(table) => step_into_table(table, rest),
                Value::List(list) => step_into_list(list, rest),
                _ => None,
            };
            let Some((child, span, left)) = next else { break };
            best = span.clone().or(best);
            (node, rest) = (child, left);
        }
        best.map(|span| place_of(&self.text, &self.line_starts, span.start))
    }
}

type Step<'a, 'p> = (&'a Node, &'a Option<Range<usize>>, &'p str);

/// Keys may hold dots, so the longest key that `path` begins with counts.
fn step_into_table<'a, 'p>(table: &'a Table, path: &'p str) -> Option<Step<'a, 'p>> {
    let mut end = path.len();
    loop {
        if let Some(entry) = table.get(&path[..end]) {
            let rest = &path[end..];
            return Some((&entry.node, &entry.key_span, rest.strip_prefix('.').unwrap_or(rest)));
        }
        end = path[..end].rfind(['.', '['])?;
    }
}

fn step_into_list<'a, 'p>(list: &'a [Node], path: &'p str) -> Option<Step<'a, 'p>> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    let node = list.get(index.parse::<usize>().ok()?)?;
    Some((node, &node.span, rest.strip_prefix('.').unwrap_or(rest)))
}

fn place_of(text: &str, line_starts: &[usize], offset: usize) -> Place {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let line = line_starts.partition_point(|start| *start <= offset).max(1) - 1;
    let column = text[line_starts[line]..offset].chars().count() + 1;
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { line: small(line + 1), column: small(column) }
}

/// What the readers of the three formats share: limits, duplicate keys, places of syntax errors.
struct Builder<'a> {
    findings: &'a mut Findings,
    line_starts: &'a [usize],
    text: &'a str,
    values: usize,
}

impl Builder<'_> {
    /// Says that the text cannot be read at byte `offset`.
    fn fault(&mut self, code: Code, offset: usize, message: String) {
        let mut finding = Finding::new(code, "", message);
        // Finding the place costs time, which a hostile text could ask for without end.
        if self.findings.has_room() {
            let place = place_of(self.text, self.line_starts, offset);
            (finding.line, finding.column) = (Some(place.line), Some(place.column));
        }
        self.findings.push(finding);
    }

    /// Counts one more value `depth` deep; says so and answers false when that is too much.
    fn count(&mut self, depth: usize, offset: usize) -> bool {
        self.values += 1;
        if depth > MOST_DEPTH {
            self.fault(
                Code::TooDeep,
                offset,
                format!("tables and lists are nested more than {MOST_DEPTH} deep"),
            );
            return false;
        }
        if self.values > MOST_VALUES {
            self.fault(Code::TooMuch, offset, format!("the text has more than {MOST_VALUES} values"));
            return false;
        }
        true
    }

    fn insert(&mut self, table: &mut Table, entry: Entry) {
        if let Err(entry) = table.insert(entry) {
            let message = format!("the key `{}` is given twice", entry.key);
            self.fault(Code::DuplicateKey, entry.key_span.map_or(0, |span| span.start), message);
        }
    }
}
