//! What every command has at hand: the server, the global flags and the streams.

use std::time::Duration;

use univrs_client::{Client, ClientOptions};

use crate::args::{Format, Global};
use crate::fault::Fault;
use crate::io::Io;

/// Where the server is, and what it takes to speak to it.
#[derive(Clone)]
pub(crate) struct ServerAddress {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    /// Certificates as PEM that it is trusted by, where they were given.
    pub(crate) authorities: Option<Vec<u8>>,
}

/// What every command has at hand.
pub(crate) struct Context<'a> {
    pub(crate) client: Client,
    /// How the server is reached, and the token for it.
    pub(crate) server: ServerAddress,
    /// The version of this program.
    pub(crate) version: &'static str,
    pub(crate) io: &'a mut Io,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) yes: bool,
    /// Whether changes are only planned.
    pub(crate) dry_run: bool,
    pub(crate) detach: bool,
    /// How long a change may take to settle.
    pub(crate) patience: Duration,
}

impl<'a> Context<'a> {
    pub(crate) fn new(global: Global, version: &'static str, io: &'a mut Io) -> Result<Self, Fault> {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let patience = global.timeout.duration();
        let token = given(global.token);
        let authorities = global.server_ca.filter(|path| !path.as_os_str().is_empty());
        let authorities = authorities.map(|path| {
            std::fs::read(&path).map_err(|source| Fault::local(format!("read {}", path.display()), source))
        });
        let authorities = authorities.transpose()?;
        let server = ServerAddress {
            url: global.server.clone(),
            token: token.clone(),
            authorities: authorities.clone(),
        };
        let client = Client::new(ClientOptions {
            server: global.server,
            token,
            org: given(global.org),
            timeout: patience,
            authorities,
            dry_run: global.dry_run,
        })?;
        Ok(Self {
            client,
            server,
            version,
            io,
            format: global.output,
            quiet: global.quiet,
            // What changes nothing needs nobody's word.
            yes: global.yes || global.dry_run,
            dry_run: global.dry_run,
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
