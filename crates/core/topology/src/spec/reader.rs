//! Typed access to one table of the tree: every fault is noted, every key asked for is known.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use univrs_model::decode::nearest;

use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::source::{Node, Table, Value};

/// What all readers of one file share.
pub(super) struct Shared {
    /// The environment whose values are picked.
    pub(super) environment: String,
    /// Everything found wrong so far.
    pub(super) findings: RefCell<Findings>,
}

impl Shared {
    /// Notes a finding.
    pub(super) fn note(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }
}

static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::default);

/// One table. Whatever key is never asked for is unknown, which [`finish`](Self::finish) says.
pub(super) struct Reader<'a> {
    pub(super) shared: &'a Shared,
    table: &'a Table,
    path: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(shared: &'a Shared, table: &'a Table, path: String) -> Self {
        Self { shared, table, path, asked: RefCell::default() }
    }

    /// A table in which nothing is stated.
    pub(super) fn empty(shared: &'a Shared, path: String) -> Self {
        Self::new(shared, &EMPTY, path)
    }

    /// The path of `key` in this table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            return key.to_owned();
        }
        format!("{}.{key}", self.path)
    }

    /// The path of the table itself.
    pub(super) fn own_path(&self) -> &str {
        &self.path
    }

    /// Notes a finding about `key`.
    pub(super) fn fault(&self, code: Code, key: &str, message: impl Into<String>) {
        self.shared.note(Finding::new(code, self.path(key), message));
    }

    /// The value of `key` as it stands; nothing when it is absent or null.
    pub(super) fn raw(&self, key: &'static str) -> Option<&'a Node> {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        let node = &self.table.get(key)?.node;
        (node.value != Value::Null).then_some(node)
    }

    /// The value of `key` for this environment. Tables that give a value for each environment are looked into.
    fn scalar(&self, key: &'static str) -> Option<(&'a Node, String)> {
        let node = self.raw(key)?;
        let path = self.path(key);
        let Value::Table(table) = &node.value else { return Some((node, path)) };
        let environment = &self.shared.environment;
        let entry = table.get(environment).filter(|entry| entry.node.value != Value::Null)?;
        Some((&entry.node, format!("{path}.{environment}")))
    }

    fn wrong(&self, path: String, expected: &str, node: &Node) {
        let message = format!("expected {expected}, found {}", node.value.kind());
        self.shared.note(Finding::new(Code::WrongType, path, message));
    }

    /// Says that `key` is missing, or that it has no value for this environment.
    pub(super) fn missing(&self, key: &'static str) {
        if let Some(Node { value: Value::Table(table), .. }) = self.raw(key) {
            let known: Vec<&str> = table.entries().iter().map(|entry| entry.key.as_str()).collect();
            let environment = &self.shared.environment;
            let message = format!("there is no value for the environment `{environment}`");
            let hint = nearest(environment, known.iter().copied()).map_or_else(
                || format!("there are values for {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.shared.note(Finding::new(Code::NoEnvironmentValue, self.path(key), message).hint(hint));
        } else if self.raw(key).is_none() {
            self.shared.note(Finding::new(
                Code::MissingKey,
                self.path(key),
                format!("`{key}` has to be stated"),
            ));
        }
    }

    /// A text with its path. Numbers given with `--set` are taken as texts, since a shell has no other words.
    pub(super) fn text_at(&self, key: &'static str) -> Option<(String, String)> {
        let (node, path) = self.scalar(key)?;
        let text = self.text_of(node, &path)?;
        Some((text, path))
    }

    fn text_of(&self, node: &Node, path: &str) -> Option<String> {
        match (&node.value, &node.span) {
            (Value::Text(text), _) => Some(text.clone()),
            (Value::Integer(number), None) => Some(number.to_string()),
            (Value::Float(number), None) => Some(number.to_string()),
            _ => {
                self.wrong(path.to_owned(), "a text", node);
                None
            }
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        self.text_at(key).map(|(text, _)| text)
    }

    /// A text that is read as something.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<T> {
        let (text, path) = self.text_at(key)?;
        text.parse()
            .map_err(|error: T::Err| self.shared.note(Finding::new(Code::BadValue, path, error.to_string())))
            .ok()
    }

    /// A text or number that is read as something: quantities may be written as either.
    pub(super) fn quantity<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<T> {
        let (node, path) = self.scalar(key)?;
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => {
                self.wrong(path, "a quantity", node);
                return None;
            }
        };
        text.parse()
            .map_err(|error: T::Err| self.shared.note(Finding::new(Code::BadValue, path, error.to_string())))
            .ok()
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let (text, path) = self.text_at(key)?;
        self.word_of(&text, path, words)
    }

    /// `text` as one of some words.
    pub(super) fn word_of<T: Copy>(&self, text: &str, path: String, words: &[(&str, T)]) -> Option<T> {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{}` cannot stand here; use {}", clip(text), all.join(", "));
        let hint = nearest(text, all.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.shared.note(Finding::new(Code::BadValue, path, message).maybe_hint(hint));
        None
    }

    /// A whole number within limits.
    pub(super) fn number(&self, key: &'static str, limits: std::ops::RangeInclusive<i64>) -> Option<u32> {
        let (node, path) = self.scalar(key)?;
        self.number_of(node, path, limits)
    }

    fn number_of(&self, node: &Node, path: String, limits: std::ops::RangeInclusive<i64>) -> Option<u32> {
        let Value::Integer(number) = node.value else {
            self.wrong(path, "a whole number", node);
            return None;
        };
        if !limits.contains(&number) {
            let message = format!("{number} is not within {} to {}", limits.start(), limits.end());
            self.shared.note(Finding::new(Code::OutOfRange, path, message));
            return None;
        }
        u32::try_from(number).ok()
    }

    /// True or false.
    pub(super) fn truth(&self, key: &'static str) -> Option<bool> {
        let (node, path) = self.scalar(key)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong(path, "true or false", node);
        None
    }

    /// A share, 0 to 1, without its ends where `open` says so.
    pub(super) fn share(&self, key: &'static str) -> Option<f64> {
        let (node, path) = self.scalar(key)?;
        self.share_of(node, path)
    }

    fn share_of(&self, node: &Node, path: String) -> Option<f64> {
        let share = match node.value {
            Value::Float(number) => number,
            Value::Integer(number) if (0..=1).contains(&number) => f64::from(number as u8),
            _ => {
                self.wrong(path, "a share between 0 and 1", node);
                return None;
            }
        };
        if share > 0.0 && share <= 1.0 {
            return Some(share);
        }
        self.shared.note(Finding::new(
            Code::OutOfRange,
            path,
            format!("{share} is not a share between 0 and 1"),
        ));
        None
    }

    /// Percent with a sign, `"99.99%"`, in millionths.
    pub(super) fn percent(&self, key: &'static str) -> Option<u32> {
        let (text, path) = self.text_at(key)?;
        let millionths =
            text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()).map(|n| n * 1e4);
        match millionths {
            Some(millionths) if (0.0..=1e6).contains(&millionths) => Some(millionths.round() as u32),
            _ => {
                let message = format!("`{}` is not percent; write `99.9%`", clip(&text));
                self.shared.note(Finding::new(Code::BadValue, path, message));
                None
            }
        }
    }

    /// The entries of a list with their paths; a single value counts as a list of one.
    pub(super) fn items(&self, key: &'static str) -> Vec<(&'a Node, String)> {
        let Some(node) = self.raw(key) else { return Vec::new() };
        let path = self.path(key);
        match &node.value {
            Value::List(list) => {
                list.iter().enumerate().map(|(i, item)| (item, format!("{path}[{i}]"))).collect()
            }
            _ => vec![(node, path)],
        }
    }

    /// Texts of a list, read as something.
    pub(super) fn list<T: FromStr<Err: Display>>(&self, key: &'static str) -> Vec<T> {
        self.listed(key).into_iter().map(|(value, _)| value).collect()
    }

    /// Texts of a list, read as something, with their paths.
    pub(super) fn listed<T: FromStr<Err: Display>>(&self, key: &'static str) -> Vec<(T, String)> {
        let mut values = Vec::new();
        for (node, path) in self.items(key) {
            let Some(text) = self.text_of(node, &path) else { continue };
            match text.parse::<T>() {
                Ok(value) => values.push((value, path)),
                Err(error) => self.shared.note(Finding::new(Code::BadValue, path, error.to_string())),
            }
        }
        values
    }

    /// Shares of a list.
    pub(super) fn shares(&self, key: &'static str) -> Vec<f64> {
        self.items(key).into_iter().filter_map(|(node, path)| self.share_of(node, path)).collect()
    }

    /// The table under `key`, if it is there.
    pub(super) fn table(&self, key: &'static str) -> Option<Reader<'a>> {
        let node = self.raw(key)?;
        let Value::Table(table) = &node.value else {
            self.wrong(self.path(key), "a table", node);
            return None;
        };
        Some(Reader::new(self.shared, table, self.path(key)))
    }

    /// The table under `key`, or one in which nothing is stated.
    pub(super) fn table_or_empty(&self, key: &'static str) -> Reader<'a> {
        self.table(key).unwrap_or_else(|| Reader::empty(self.shared, self.path(key)))
    }

    /// The tables of a list of tables.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Reader<'a>> {
        let Some(node) = self.raw(key) else { return Vec::new() };
        let Value::List(_) = &node.value else {
            self.wrong(self.path(key), "a list of tables", node);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (node, path) in self.items(key) {
            match &node.value {
                Value::Table(table) => tables.push(Reader::new(self.shared, table, path)),
                _ => self.wrong(path, "a table", node),
            }
        }
        tables
    }

    /// The tables under the keys of this table: `[role.NAME]`.
    pub(super) fn named_tables(&self) -> Vec<(&'a str, Reader<'a>)> {
        let mut tables = Vec::new();
        for entry in self.table.entries() {
            match &entry.node.value {
                Value::Table(table) => {
                    tables.push((entry.key.as_str(), Reader::new(self.shared, table, self.path(&entry.key))));
                }
                _ => self.wrong(self.path(&entry.key), "a table", &entry.node),
            }
        }
        tables
    }

    /// Keys and texts of the table under `key`.
    pub(super) fn texts(&self, key: &'static str) -> BTreeMap<String, String> {
        let Some(reader) = self.table(key) else { return BTreeMap::new() };
        let mut texts = BTreeMap::new();
        for entry in reader.table.entries() {
            let path = reader.path(&entry.key);
            let text = match &entry.node.value {
                // Values of labels and environments are texts; a bare number cannot be mistaken.
                Value::Integer(number) => Some(number.to_string()),
                Value::Bool(value) => Some(value.to_string()),
                _ => self.text_of(&entry.node, &path),
            };
            if let Some(text) = text {
                texts.insert(entry.key.clone(), text);
            }
        }
        texts
    }

    /// Keys read as something, and whole numbers, of the table under `key`, in the order of the file.
    pub(super) fn numbers<K: FromStr<Err: Display>>(
        &self,
        key: &'static str,
        limits: std::ops::RangeInclusive<i64>,
    ) -> Vec<(K, u32)> {
        let Some(reader) = self.table(key) else { return Vec::new() };
        let mut numbers = Vec::new();
        for entry in reader.table.entries() {
            let path = reader.path(&entry.key);
            let key = reader.key::<K>(&entry.key, &path);
            let number = self.number_of(&entry.node, path, limits.clone());
            numbers.extend(key.zip(number));
        }
        numbers
    }

    /// Keys read as something with the values as texts, of the table under `key`. A bare text stands for all of
    /// `everything`.
    pub(super) fn keyed<K: FromStr<Err: Display> + Ord + Copy>(
        &self,
        key: &'static str,
        everything: &[K],
    ) -> BTreeMap<K, (String, String)> {
        let Some(node) = self.raw(key) else { return BTreeMap::new() };
        let path = self.path(key);
        let Value::Table(table) = &node.value else {
            let text = self.text_of(node, &path);
            return text
                .map(|text| everything.iter().map(|key| (*key, (text.clone(), path.clone()))).collect())
                .unwrap_or_default();
        };
        let mut keyed = BTreeMap::new();
        for entry in table.entries() {
            let path = format!("{path}.{}", entry.key);
            if let (Some(key), Some(text)) =
                (self.key::<K>(&entry.key, &path), self.text_of(&entry.node, &path))
            {
                keyed.insert(key, (text, path));
            }
        }
        keyed
    }

    fn key<K: FromStr<Err: Display>>(&self, key: &str, path: &str) -> Option<K> {
        key.parse()
            .map_err(|error: K::Err| self.shared.note(Finding::new(Code::BadValue, path, error.to_string())))
            .ok()
    }

    /// Says which keys nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for entry in self.table.entries() {
            if asked.iter().any(|key| *key == entry.key) {
                continue;
            }
            let path =
                if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, entry.key) };
            if !self.shared.findings.borrow().has_room() {
                // It is only counted; looking for what was meant would take long.
                self.shared.note(Finding::new(Code::UnknownKey, path, String::new()));
                continue;
            }
            let hint = match nearest(&entry.key, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", asked.join(", ")),
            };
            let message = format!("`{}` is not a known key", clip(&entry.key));
            self.shared.note(Finding::new(Code::UnknownKey, path, message).hint(hint));
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
