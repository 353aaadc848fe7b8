//! Where a topology comes from, and what its compilation depends on.

use clap::Args;
use serde::Serialize;
use univrs_compiler::{Input, Options, PriceDate};
use univrs_model::Timestamp;
use univrs_model::span::Span;
use univrs_topology::source::Format;

use crate::context::Context;
use crate::fault::Fault;
use crate::table::print_body;

/// A topology file, and what its compilation depends on.
#[derive(Args, Debug)]
pub(crate) struct Source {
    /// The topology: TOML, YAML or JSON by its ending; `-` is TOML on standard input
    file: String,
    /// Replace a value, such as role.web.count=3
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Choose the environment; the same as --set environment=NAME
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Another topology whose address ranges must stay apart from this one's
    #[arg(long, value_name = "FILE")]
    with: Vec<String>,
    /// Warn of prices older than this, such as 90d
    #[arg(long, value_name = "DURATION")]
    max_price_age: Option<Span>,
    /// Where a price is known in another region only, take that one; the total still counts as incomplete
    #[arg(long)]
    assume_missing: bool,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Text {
    file: String,
    text: String,
    overrides: Vec<String>,
}

impl Text {
    /// The file as it is, `-` for standard input.
    pub(crate) fn read(context: &mut Context<'_>, file: &str) -> Result<Self, Fault> {
        let bytes = if file == "-" {
            context.io.read_all().map_err(|source| Fault::local("read standard input", source))?
        } else {
            std::fs::read(file).map_err(|source| Fault::local(format!("read {file}"), source))?
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            let place = error.utf8_error().valid_up_to();
            Fault::failed(format!("{file} is not UTF-8 text: byte {place} is not"), None)
        })?;
        Ok(Self { file: file.to_owned(), text, overrides: Vec::new() })
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn format(&self) -> Format {
        Format::of(&self.file)
    }

    fn input(&self) -> Input<'_> {
        Input { file: &self.file, text: &self.text, format: self.format(), overrides: &self.overrides }
    }
}

/// A topology with the others it is looked at with.
#[derive(Debug)]
pub(crate) struct Read {
    text: Text,
    with: Vec<Text>,
    today: PriceDate,
    max_price_age: Option<u32>,
    assume_missing: bool,
}

impl Source {
    pub(crate) fn read(self, context: &mut Context<'_>) -> Result<Read, Fault> {
        let mut text = Text::read(context, &self.file)?;
        text.overrides.extend(self.environment.map(|name| format!("environment={name}")));
        text.overrides.extend(self.set);
        let with = self.with.iter().map(|file| Text::read(context, file)).collect::<Result<_, _>>()?;
        let days = |age: Span| u32::try_from(age.duration().as_secs() / 86_400).unwrap_or(u32::MAX);
        Ok(Read {
            text,
            with,
            today: day((context.io.now)())?,
            max_price_age: self.max_price_age.map(days),
            assume_missing: self.assume_missing,
        })
    }
}

impl Read {
    pub(crate) fn file(&self) -> &str {
        self.text.file()
    }

    /// Compiles the topology.
    pub(crate) fn with_options<T>(&self, compile: impl Fn(&Input<'_>, &Options<'_>) -> T) -> T {
        self.compile(&self.text, compile)
    }

    /// Compiles another topology under the same options.
    pub(crate) fn compile<T>(&self, text: &Text, compile: impl Fn(&Input<'_>, &Options<'_>) -> T) -> T {
        let with: Vec<Input<'_>> = self.with.iter().map(Text::input).collect();
        let options = Options {
            max_price_age: self.max_price_age,
            assume_missing: self.assume_missing,
            with: &with,
            ..Options::on(self.today)
        };
        compile(&text.input(), &options)
    }
}

/// The day on which ages of prices are judged.
fn day(now: Timestamp) -> Result<PriceDate, Fault> {
    let text = now.to_string();
    let date = text.get(..10).and_then(PriceDate::parse);
    date.ok_or_else(|| Fault::failed(format!("the clock shows {text}"), Some("set this machine's clock")))
}

/// A document in the form for programs.
pub(crate) fn print_document(context: &mut Context<'_>, document: &impl Serialize) -> Result<(), Fault> {
    let body = serde_json::to_vec_pretty(document)
        .map_err(|error| Fault::failed(format!("the answer cannot be written: {error}"), None))?;
    print_body(context, &body)
}
