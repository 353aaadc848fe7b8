//! A message by SMTP. Its id is made of the notice's, so that a mail server or reader can see that it came twice.

use std::time::Duration;

use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use univrs_model::alert::{AlertChannel, AlertState, MailEncryption, Notice};
use univrs_model::field::FieldError;
use univrs_ports::notify::NotifyError;

use crate::Messenger;

/// How long each step of the conversation may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a channel's words can be used.
pub(crate) fn check(server: &str, from: &str, to: &[String]) -> Result<(), FieldError> {
    if server.is_empty() || server.contains(|letter: char| letter.is_whitespace() || letter == '/') {
        return Err(FieldError::new("server", "it is no name of a host"));
    }
    let mailbox = |field: &str, text: &str| {
        text.parse::<Mailbox>().map_err(|error| FieldError::new(field, format!("`{text}`: {error}")))
    };
    mailbox("from", from)?;
    if to.is_empty() {
        return Err(FieldError::new("to", "it names nobody"));
    }
    to.iter().try_for_each(|one| mailbox("to", one).map(drop))
}

pub(crate) async fn deliver(
    messenger: Messenger,
    channel: &AlertChannel,
    notice: &Notice,
) -> Result<(), NotifyError> {
    let AlertChannel::Email { server, port, encryption, from, to, .. } = channel else { return Ok(()) };
    let failed = |reason: String, temporary| NotifyError { reason, temporary };
    let message = message(from, to, notice).map_err(|reason| failed(reason, false))?;
    let port = port.unwrap_or(match encryption {
        MailEncryption::Starttls => 587,
        MailEncryption::Tls => 465,
        MailEncryption::None => 25,
    });
    let parameters = || TlsParameters::new(server.clone()).map_err(|error| failed(error.to_string(), false));
    let tls = match encryption {
        MailEncryption::Starttls => Tls::Required(parameters()?),
        MailEncryption::Tls => Tls::Wrapper(parameters()?),
        MailEncryption::None => Tls::None,
    };
    let addresses = messenger.addresses(server, port).await?;
    let mut last = failed(format!("{server} has no address"), true);
    for address in addresses {
        // The connection goes to the checked address; the certificate is for the name.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
            .port(port)
            .tls(tls.clone())
            .timeout(Some(PATIENCE))
            .build();
        match transport.send(message.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) => {
                let reason = match std::error::Error::source(&error) {
                    Some(cause) => format!("{server}: {error}: {cause}"),
                    None => format!("{server}: {error}"),
                };
                last = failed(reason, !error.is_permanent());
            }
        }
    }
    Err(last)
}

fn message(from: &str, to: &[String], notice: &Notice) -> Result<Message, String> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("`{text}`: {error}"));
    let alert = &notice.alert;
    let word = match alert.state {
        AlertState::Firing => format!("{:?}", alert.severity).to_uppercase(),
        AlertState::Resolved => "RESOLVED".to_owned(),
    };
    let mut builder = Message::builder()
        .from(mailbox(from)?)
        .subject(format!("[{word}] {} of {}", alert.rule.as_str(), alert.subject))
        .message_id(Some(format!("<{}.{}@univrs>", notice.id, notice.org)));
    for one in to {
        builder = builder.to(mailbox(one)?);
    }
    let body = format!(
        "{}\r\n\r\nOrganisation: {}\r\nSince: {}\r\nAlert: {}\r\nNotice: {}\r\n",
        alert.message, notice.org, alert.since, alert.id, notice.id
    );
    builder.body(body).map_err(|error| error.to_string())
}
