//! Credentials from a file in the form of Docker's `config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::options::Credentials;

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(alias = "registrytoken")]
    registry_token: Option<String>,
}

/// The credentials that the file has for `registry`; a file that is missing or malformed has none.
pub(crate) fn credentials_in(file: &Path, registry: &str) -> Option<Credentials> {
    let text = std::fs::read_to_string(file)
        .inspect_err(
            |error| tracing::debug!(path = %file.display(), %error, "no registry credentials are read"),
        )
        .ok()?;
    let parsed: AuthFile = serde_json::from_str(&text)
        .inspect_err(
            |error| tracing::warn!(path = %file.display(), %error, "registry credentials are unreadable"),
        )
        .ok()?;
    parsed
        .auths
        .into_iter()
        .find(|(key, _)| host(key) == host(registry))
        .and_then(|(_, entry)| entry.credentials())
}

impl Entry {
    fn credentials(self) -> Option<Credentials> {
        if let Some(token) = self.registry_token {
            return Some(Credentials::Bearer(token));
        }
        if let (Some(username), Some(password)) = (self.username, self.password) {
            return Some(Credentials::Basic { username, password });
        }
        let decoded = String::from_utf8(STANDARD.decode(self.auth?.trim()).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        Some(Credentials::Basic { username: username.to_owned(), password: password.to_owned() })
    }
}

/// Host and port of a key, which may be a URL, as Docker Hub's is.
fn host(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    match rest.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_form_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("auth.json");
        let text = r#"{"auths":{
            "https://index.docker.io/v1/":{"auth":"YW5uOnNlOmNyZXQ="},
            "r.example:5000":{"username":"bob","password":"pw"},
            "t.example":{"registrytoken":"tok"},
            "empty.example":{}},
            "credsStore":"ignored"}"#;
        std::fs::write(&file, text).unwrap();
        let basic = |username: &str, password: &str| {
            Some(Credentials::Basic { username: username.to_owned(), password: password.to_owned() })
        };
        assert_eq!(credentials_in(&file, "docker.io"), basic("ann", "se:cret"));
        assert_eq!(credentials_in(&file, "r.example:5000"), basic("bob", "pw"));
        assert_eq!(credentials_in(&file, "t.example"), Some(Credentials::Bearer("tok".to_owned())));
        assert_eq!(credentials_in(&file, "empty.example"), None);
        assert_eq!(credentials_in(&file, "r.example"), None);
        assert_eq!(credentials_in(Path::new("/nonexistent"), "docker.io"), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown =
            format!("{:?}", Credentials::Basic { username: "ann".to_owned(), password: "secret".to_owned() });
        assert!(!shown.contains("secret"), "{shown}");
    }
}
