//! Notices to webhooks and by mail.
//!
//! Whoever may name an address could reach with it what only this machine can reach. So a name is looked up once, each
//! address that it stands for is checked, and the connection goes to a checked address; the same holds for every
//! redirection. Private, loopback and link-local addresses and the like are refused unless the operator allows them.

mod guard;
mod mail;
mod webhook;

use std::net::SocketAddr;

use async_trait::async_trait;
use univrs_model::alert::{AlertChannel, Notice};
use univrs_model::field::FieldError;
use univrs_model::secret::SecretValue;
use univrs_ports::notify::{Notifier, NotifyError};

pub use guard::is_public;

/// Tells people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Messenger {
    /// Whether addresses that are not public may be reached.
    pub allow_private: bool,
}

impl Messenger {
    /// The addresses of a host that may be reached.
    async fn addresses(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NotifyError> {
        let failed = |reason: String, temporary| NotifyError { reason, temporary };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port))
            .await
            .map_err(|error| failed(format!("{host} cannot be looked up: {error}"), true))?
            .collect();
        // One that may not be reached is enough: which of them would be used is not ours to say.
        match found.iter().find(|address| !self.allow_private && !is_public(address.ip())) {
            Some(address) => {
                Err(failed(format!("{host} is {}, which is not a public address", address.ip()), false))
            }
            None if found.is_empty() => Err(failed(format!("{host} has no address"), true)),
            None => Ok(found),
        }
    }
}

#[async_trait]
impl Notifier for Messenger {
    fn check(&self, channel: &AlertChannel) -> Result<(), FieldError> {
        match channel {
            AlertChannel::Webhook { url, .. } => webhook::target(url, self.allow_private)
                .map(drop)
                .map_err(|reason| FieldError::new("url", reason)),
            AlertChannel::Email { server, from, to, .. } => {
                mail::check(server, from, to)?;
                mail::check_login(channel)?;
                let literal = server.parse::<std::net::IpAddr>();
                if !self.allow_private && literal.is_ok_and(|address| !is_public(address)) {
                    return Err(FieldError::new("server", "it is not a public address"));
                }
                Ok(())
            }
        }
    }

    async fn deliver(
        &self,
        channel: &AlertChannel,
        notice: &Notice,
        password: Option<&SecretValue>,
    ) -> Result<(), NotifyError> {
        match channel {
            AlertChannel::Webhook { url, .. } => webhook::deliver(*self, url, notice).await,
            AlertChannel::Email { .. } => mail::deliver(*self, channel, notice, password).await,
        }
    }
}
