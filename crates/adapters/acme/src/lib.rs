//! Certificates by ACME (RFC 8555): the protocol is `instant-acme`'s, the questions are answered over HTTP (HTTP-01).

mod http;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use univrs_model::Timestamp;
use univrs_model::secret::SecretValue;
use univrs_ports::issuer::{Board, Issuer, IssuerError, NewCertificate};

use crate::http::{Http, Waits};

/// How long the authority may take to ask, and then to issue.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why an authority cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The certificate that it is to be trusted by cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is none, or there can be no client.
    #[error("the authority cannot be reached as it was given")]
    Client(#[from] reqwest::Error),
}

/// An authority that speaks ACME.
pub struct Acme {
    directory: String,
    contact: Option<String>,
    http: reqwest::Client,
}

impl Acme {
    /// The authority with this directory; `contact` is a mail address, `root` a file with the certificates that it is
    /// trusted by, beside those of the machine.
    ///
    /// # Errors
    /// See [`AcmeError`].
    pub fn new(directory: String, contact: Option<&str>, root: Option<&Path>) -> Result<Self, AcmeError> {
        let mut http = reqwest::Client::builder().timeout(Duration::from_secs(30)).https_only(true);
        if let Some(path) = root {
            let pem =
                std::fs::read(path).map_err(|source| AcmeError::File { path: path.to_owned(), source })?;
            http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem)?);
        }
        let contact = contact.map(|contact| match contact.contains(':') {
            true => contact.to_owned(),
            false => format!("mailto:{contact}"),
        });
        Ok(Self { directory, contact, http: http.build()? })
    }

    fn client(&self) -> (Box<Http>, Waits) {
        let waits = Waits::default();
        (Box::new(Http { client: self.http.clone(), waits: waits.clone() }), waits)
    }
}

fn failed(error: &Error, waits: &Waits) -> IssuerError {
    let unknown_account = matches!(error, Error::Api(problem)
        if problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":accountDoesNotExist")));
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    let reason = reason.trim_start_matches("API error: ").to_owned();
    IssuerError { reason, retry_after: waits.longest(), unknown_account }
}

fn refused(reason: impl Into<String>) -> IssuerError {
    IssuerError { reason: reason.into(), retry_after: None, unknown_account: false }
}

#[async_trait]
impl Issuer for Acme {
    fn directory(&self) -> &str {
        &self.directory
    }

    async fn register(&self) -> Result<SecretValue, IssuerError> {
        let (http, waits) = self.client();
        let contact: Vec<&str> = self.contact.as_deref().into_iter().collect();
        let account =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let made = Account::builder_with_http(http).create(&account, self.directory.clone(), None).await;
        let (_, credentials) = made.map_err(|error| failed(&error, &waits))?;
        let bytes = serde_json::to_vec(&credentials).map_err(|error| refused(error.to_string()))?;
        Ok(SecretValue::new(bytes))
    }

    async fn issue(
        &self,
        account: &SecretValue,
        host: &str,
        board: &dyn Board,
    ) -> Result<NewCertificate, IssuerError> {
        let (http, waits) = self.client();
        let fail = |error: Error| failed(&error, &waits);
        // What was sealed here is not shown in an error, whatever is wrong with it.
        let credentials: AccountCredentials = serde_json::from_slice(account.expose())
            .map_err(|_| refused("what is kept of the account cannot be read"))?;
        let account = Account::builder_with_http(http).from_credentials(credentials).await.map_err(fail)?;
        let names = [Identifier::Dns(host.to_owned())];
        let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(fail)?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(fail)?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => {
                    return Err(refused(format!("the authority calls the host's authorization {other:?}")));
                }
            }
            let mut challenge = authorization
                .challenge(ChallengeType::Http01)
                .ok_or_else(|| refused("the authority does not offer to ask over HTTP (http-01)"))?;
            let answer = challenge.key_authorization();
            board.show(&challenge.token, answer.as_str()).await.map_err(refused)?;
            challenge.set_ready().await.map_err(fail)?;
        }
        let patience = RetryPolicy::default().timeout(PATIENCE);
        match order.poll_ready(&patience).await.map_err(fail)? {
            OrderStatus::Ready => {}
            _ => return Err(why_invalid(&mut order, &waits).await),
        }
        let key = order.finalize().await.map_err(fail)?;
        let key = SecretValue::new(key.into_bytes());
        let chain = order.poll_certificate(&patience).await.map_err(fail)?;
        let (not_before, not_after) =
            life(&chain).ok_or_else(|| refused("the authority sent a certificate that cannot be read"))?;
        Ok(NewCertificate { chain, key, not_before, not_after })
    }
}

/// Why an order came to nothing: what the authority found when it asked.
async fn why_invalid(order: &mut Order, waits: &Waits) -> IssuerError {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            let detail = problem.detail.clone().unwrap_or_else(|| problem.to_string());
            return IssuerError { retry_after: waits.longest(), ..refused(detail) };
        }
    }
    IssuerError { retry_after: waits.longest(), ..refused("the authority ended the order without a reason") }
}

/// From when until when the first certificate of a chain is valid.
fn life(chain: &str) -> Option<(Timestamp, Timestamp)> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).ok()?;
    let validity = pem.parse_x509().ok()?.validity().clone();
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((at(validity.not_before)?, at(validity.not_after)?))
}
