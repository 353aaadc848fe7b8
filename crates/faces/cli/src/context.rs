//! What every command has at hand: the server, the global flags and the streams.

use std::time::Duration;

use univrs_client::{Client, ClientOptions};

use crate::args::{Format, Global};
use crate::fault::Fault;
use crate::io::Io;

/// What every command has at hand.
pub(crate) struct Context<'a> {
    pub(crate) client: Client,
    /// Address of the server, and the token for it.
    pub(crate) server: (String, Option<String>),
    pub(crate) io: &'a mut Io,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) yes: bool,
    pub(crate) detach: bool,
    /// How long a change may take to settle.
    pub(crate) patience: Duration,
}

impl<'a> Context<'a> {
    pub(crate) fn new(global: Global, io: &'a mut Io) -> Result<Self, Fault> {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let patience = global.timeout.duration();
        let token = given(global.token);
        let server = (global.server.clone(), token.clone());
        let client = Client::new(ClientOptions {
            server: global.server,
            token,
            org: given(global.org),
            timeout: patience,
        })?;
        Ok(Self {
            client,
            server,
            io,
            format: global.output,
            quiet: global.quiet,
            yes: global.yes,
            detach: global.detach,
            patience,
        })
    }

    /// One line of talk.
    pub(crate) fn talk(&mut self, line: &str) -> Result<(), Fault> {
        Ok(self.io.talk(line)?)
    }

    /// Whether the output is for programs, so that a table makes no sense.
    pub(crate) fn for_programs(&self) -> bool {
        !self.quiet && matches!(self.format, Format::Json | Format::Yaml)
    }
}
