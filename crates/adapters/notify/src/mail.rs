//! A message by SMTP. Its id is made of the notice's, so that a mail server or reader can see that it came twice.

use std::time::Duration;

use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use univrs_model::alert::{AlertChannel, AlertState, MailEncryption, MailLogin, Notice};
use univrs_model::field::FieldError;
use univrs_model::secret::SecretValue;
use univrs_ports::notify::NotifyError;

use crate::Messenger;

/// How long each step of the conversation may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a channel's words can be used.
pub(crate) fn check(server: &str, from: &str, to: &[String]) -> Result<(), FieldError> {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if !(1..=253).contains(&server.len()) || !server.bytes().all(in_name) {
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
    password: Option<&SecretValue>,
) -> Result<(), NotifyError> {
    let AlertChannel::Email { server, port, encryption, from, to, login, authority, .. } = channel else {
        return Ok(());
    };
    let failed = |reason: String, temporary| NotifyError { reason, temporary };
    let message = message(from, to, notice).map_err(|reason| failed(reason, false))?;
    let port = port.unwrap_or(match encryption {
        MailEncryption::Starttls => 587,
        MailEncryption::Tls => 465,
        MailEncryption::None => 25,
    });
    let parameters = || {
        let mut builder = TlsParameters::builder(server.clone());
        if let Some(pem) = authority {
            let known =
                Certificate::from_pem(pem.as_bytes()).map_err(|error| failed(error.to_string(), false))?;
            builder = builder.add_root_certificate(known);
        }
        builder.build().map_err(|error| failed(error.to_string(), false))
    };
    let credentials = credentials(login.as_ref(), *encryption, password)?;
    let tls = match encryption {
        MailEncryption::Starttls => Tls::Required(parameters()?),
        MailEncryption::Tls => Tls::Wrapper(parameters()?),
        MailEncryption::None => Tls::None,
    };
    let addresses = messenger.addresses(server, port).await?;
    let mut last = failed(format!("{server} has no address"), true);
    for address in addresses {
        // The connection goes to the checked address; the certificate is for the name.
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
            .port(port)
            .tls(tls.clone())
            .timeout(Some(PATIENCE));
        if let Some(credentials) = &credentials {
            transport = transport.credentials(credentials.clone());
        }
        let transport = transport.build();
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

/// Whether a channel's login and authority can be used.
pub(crate) fn check_login(channel: &AlertChannel) -> Result<(), FieldError> {
    let AlertChannel::Email { encryption, login, authority, .. } = channel else { return Ok(()) };
    if let Some(login) = login {
        if *encryption == MailEncryption::None {
            let fault =
                FieldError::new("login", "without encryption anyone on the way would read the password");
            return Err(fault.hint("set `encryption` to `starttls` or `tls`"));
        }
        if login.username.is_empty() || login.username.contains(char::is_control) {
            return Err(FieldError::new("login.username", "it is no name"));
        }
    }
    if let Some(pem) = authority
        && !pem.contains("-----BEGIN CERTIFICATE-----")
    {
        return Err(FieldError::new("authority", "it is no certificate in PEM"));
    }
    Ok(())
}

/// What a login says to the server; nothing where there is none.
fn credentials(
    login: Option<&MailLogin>,
    encryption: MailEncryption,
    password: Option<&SecretValue>,
) -> Result<Option<Credentials>, NotifyError> {
    let failed = |reason: String| NotifyError { reason, temporary: false };
    let Some(login) = login else { return Ok(None) };
    if encryption == MailEncryption::None {
        return Err(failed("a login is not sent without encryption".to_owned()));
    }
    let password = password.ok_or_else(|| failed(format!("there is no secret `{}`", login.secret)))?;
    let text = std::str::from_utf8(password.expose())
        .map_err(|_| failed(format!("the secret `{}` is not text", login.secret)))?;
    // Files of secrets often end with a line end that is no part of the password.
    Ok(Some(Credentials::new(login.username.clone(), text.trim_end_matches(['\r', '\n']).to_owned())))
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
