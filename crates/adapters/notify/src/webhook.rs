//! A POST of the notice as JSON, with its id as `Idempotency-Key`.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use univrs_model::alert::Notice;
use univrs_ports::notify::NotifyError;

use crate::Messenger;
use crate::guard::is_public;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an answer may lead elsewhere.
const REDIRECTIONS: usize = 3;

/// The address that a text names, if it can be one of a webhook.
pub(crate) fn target(text: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` is neither http nor https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it holds a name or password, which everybody who reads the settings would see".to_owned()
        );
    }
    let host = url.host_str().ok_or("it names no host")?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(address) if !allow_private && !is_public(address) => {
            Err(format!("{address} is not a public address"))
        }
        _ => Ok(url),
    }
}

pub(crate) async fn deliver(messenger: Messenger, url: &str, notice: &Notice) -> Result<(), NotifyError> {
    let failed = |reason: String, temporary| NotifyError { reason, temporary };
    let mut url = target(url, messenger.allow_private).map_err(|reason| failed(reason, false))?;
    for _ in 0..=REDIRECTIONS {
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses = messenger.addresses(&host, port).await?;
        // A client of its own for each: it knows the checked addresses and nothing else, and no proxy.
        let client = Client::builder()
            .resolve_to_addrs(&host, &addresses)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| failed(error.to_string(), true))?;
        let request = client.post(url.clone()).header("Idempotency-Key", &notice.id).json(notice);
        let answer = request.send().await.map_err(|error| failed(told(&error), true))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            let temporary = status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
                // It may be mended there; a refusal for good is told by its codes.
                || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
            return Err(failed(format!("{host} answered {status}"), temporary));
        }
        let next = answer.headers().get(LOCATION).and_then(|next| next.to_str().ok());
        let next = next.and_then(|next| url.join(next).ok());
        let next = next.ok_or_else(|| failed(format!("{host} leads nowhere"), false))?;
        url = target(next.as_str(), messenger.allow_private)
            .map_err(|reason| failed(format!("{host} leads to {next}: {reason}"), false))?;
    }
    Err(failed(format!("more than {REDIRECTIONS} redirections"), false))
}

/// An error with its causes, without the address: that may hold a secret.
fn told(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut text = "it cannot be reached".to_owned();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
