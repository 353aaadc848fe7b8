//! The streams of a command: data out, talk on the side, answers in.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::sync::Arc;

use univrs_model::Timestamp;

use crate::image::ImageFiles;

/// The streams of a command and what is known of them.
pub struct Io {
    out: Box<dyn Write + Send>,
    talk: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    /// Whether a person can be asked.
    pub(crate) can_ask: bool,
    /// Whether standard output is a terminal.
    pub(crate) shows_data: bool,
    /// Whether standard error is a terminal, where progress may be drawn.
    pub(crate) draws: bool,
    /// Whether data may be coloured.
    pub(crate) colour: bool,
    /// What time it is, for ages.
    pub(crate) now: fn() -> Timestamp,
    /// Opens files of images, where that can be done.
    pub(crate) image_files: Option<Arc<dyn ImageFiles>>,
}

impl Io {
    /// The streams of this process.
    pub fn process(no_color: bool) -> Self {
        let plain = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let shows_data = io::stdout().is_terminal();
        let draws = io::stderr().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            talk: Box::new(io::stderr()),
            input: Box::new(BufReader::new(io::stdin())),
            can_ask: io::stdin().is_terminal() && draws,
            shows_data,
            draws,
            colour: shows_data && !plain,
            now: Timestamp::now,
            image_files: None,
        }
    }

    /// Streams that are no terminals, as in a pipeline.
    pub fn piped(
        out: impl Write + Send + 'static,
        talk: impl Write + Send + 'static,
        input: impl BufRead + Send + 'static,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            out: Box::new(out),
            talk: Box::new(talk),
            input: Box::new(input),
            can_ask: false,
            shows_data: false,
            draws: false,
            colour: false,
            now,
            image_files: None,
        }
    }

    /// The same streams where files of images can be opened.
    #[must_use]
    pub fn with_image_files(self, image_files: Arc<dyn ImageFiles>) -> Self {
        Self { image_files: Some(image_files), ..self }
    }

    /// The same streams with a person at the other end who can be asked.
    #[must_use]
    pub fn with_person(self) -> Self {
        Self { can_ask: true, ..self }
    }

    /// One line of data.
    pub(crate) fn data(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// Bytes of data as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// One line of talk.
    pub(crate) fn talk(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.talk, "{line}")?;
        self.talk.flush()
    }

    /// Bytes of talk as they are, such as the standard error of a container.
    pub(crate) fn talk_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.talk.write_all(bytes)?;
        self.talk.flush()
    }

    /// One line from the person, without its end.
    pub(crate) fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Everything that comes in.
    pub(crate) fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The input for good, to be read elsewhere.
    pub(crate) fn take_input(&mut self) -> Box<dyn BufRead + Send> {
        std::mem::replace(&mut self.input, Box::new(io::empty()))
    }
}
