//! Real deliveries to servers of the test: a mail sink and webhooks that behave and that do not.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use univrs_model::alert::{Alert, AlertChannel, AlertRule, AlertState, MailEncryption, MailLogin, Notice};
use univrs_model::event::Severity;
use univrs_model::secret::SecretValue;
use univrs_notify::Messenger;
use univrs_ports::notify::Notifier as _;

const FREE: Messenger = Messenger { allow_private: true };
const GUARDED: Messenger = Messenger { allow_private: false };

fn notice() -> Notice {
    let alert = Alert {
        id: "resource_down-rs_1".to_owned(),
        rule: AlertRule::ResourceDown,
        subject: "resource/db".to_owned(),
        severity: Severity::Error,
        state: AlertState::Firing,
        message: "db does not serve: nobody answers".to_owned(),
        since: Timestamp::UNIX_EPOCH,
        changed_at: Timestamp::UNIX_EPOCH,
        number: 3,
        silenced_until: None,
    };
    Notice { id: "resource_down-rs_1-3".to_owned(), org: "acme".parse().unwrap(), alert }
}

fn webhook(url: String) -> AlertChannel {
    AlertChannel::Webhook { name: "hook".parse().unwrap(), url }
}

type Said = Arc<Mutex<Vec<String>>>;

/// A server that does this with each connection; it ends with the test's runtime.
async fn serve<F, W>(work: F) -> (SocketAddr, Said)
where
    F: Fn(TcpStream, Said) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let said = Said::default();
    let saying = Arc::clone(&said);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream, Arc::clone(&saying)));
        }
    });
    (address, said)
}

/// A web server that answers every request with this.
async fn web(answer: String) -> (SocketAddr, Said) {
    serve(move |stream, said| {
        let answer = answer.clone();
        async move {
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                    length = number.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            said.lock().unwrap().push(head + &String::from_utf8(body).unwrap());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_webhook_gets_the_notice_with_its_id() {
    let (address, said) = web(status("204 No Content")).await;
    FREE.deliver(&webhook(format!("http://{address}/in?a=b")), &notice(), None).await.unwrap();
    // The second time it is the same.
    FREE.deliver(&webhook(format!("http://{address}/in?a=b")), &notice(), None).await.unwrap();
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 2);
    for one in &*said {
        assert!(one.starts_with("POST /in?a=b HTTP/1.1"), "{one}");
        assert!(one.contains("idempotency-key: resource_down-rs_1-3"), "{one}");
        assert!(one.contains(r#""rule":"resource_down""#) && one.contains(r#""org":"acme""#), "{one}");
    }
}

#[tokio::test]
async fn answers_say_whether_to_try_again() {
    for (answer, temporary) in [
        ("500 Internal Server Error", true),
        ("503 Service Unavailable", true),
        ("429 Too Many Requests", true),
        ("400 Bad Request", false),
        ("410 Gone", false),
        ("302 Found", false),
    ] {
        let (address, _) = web(status(answer)).await;
        let error = FREE.deliver(&webhook(format!("http://{address}/")), &notice(), None).await.unwrap_err();
        assert_eq!(error.temporary, temporary, "{answer}: {error}");
        assert!(error.reason.contains(&answer[..3]), "{error}");
    }
    // A port that is given to nobody.
    let error = FREE.deliver(&webhook("http://127.0.0.1:1/".to_owned()), &notice(), None).await.unwrap_err();
    assert!(error.temporary, "{error}");
}

#[tokio::test]
async fn one_that_hangs_is_given_up_for_now() {
    let (address, _) = serve(|stream, _| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let error = FREE.deliver(&webhook(format!("http://{address}/")), &notice(), None).await.unwrap_err();
    assert!(error.temporary && error.reason.contains("no answer"), "{error}");
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_by_name_and_behind_redirections() {
    let (address, said) = web(status("200 OK")).await;
    let port = address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        // The same address in other spellings.
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "http://user:secret@example.org/".to_owned(),
    ] {
        GUARDED.check(&webhook(url.clone())).unwrap_err();
        let error = GUARDED.deliver(&webhook(url.clone()), &notice(), None).await.unwrap_err();
        assert!(!error.temporary, "{url}: {error}");
        assert!(!error.reason.contains("secret"), "{error}");
    }
    // A name is checked by what it stands for, when it is used.
    let named = webhook(format!("http://localhost:{port}/"));
    GUARDED.check(&named).unwrap();
    let error = GUARDED.deliver(&named, &notice(), None).await.unwrap_err();
    assert!(!error.temporary && error.reason.contains("not a public address"), "{error}");
    assert!(said.lock().unwrap().is_empty());
}

#[tokio::test]
async fn redirections_are_followed_and_not_for_ever() {
    let (goal, said) = web(status("200 OK")).await;
    let to = |url: String| {
        format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    let (first, _) = web(to(format!("http://{goal}/there"))).await;
    FREE.deliver(&webhook(format!("http://{first}/")), &notice(), None).await.unwrap();
    assert!(said.lock().unwrap()[0].starts_with("POST /there"));
    let (circle, _) = web(to("/again".to_owned())).await;
    let error = FREE.deliver(&webhook(format!("http://{circle}/")), &notice(), None).await.unwrap_err();
    assert!(!error.temporary && error.reason.contains("redirections"), "{error}");
    let (away, _) = web(to("gopher://example.org/".to_owned())).await;
    let error = FREE.deliver(&webhook(format!("http://{away}/")), &notice(), None).await.unwrap_err();
    assert!(!error.temporary && error.reason.contains("neither http"), "{error}");
}

/// A mail server that takes everything, or answers `DATA` with a refusal.
async fn mail(refusal: Option<&'static str>) -> (SocketAddr, Said) {
    serve(move |stream, said| async move {
        let mut stream = BufReader::new(stream);
        let _ = stream.write_all(b"220 sink ESMTP\r\n").await;
        let (mut heard, mut in_data) = (String::new(), false);
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            heard.push_str(&line);
            let word = line.trim_end().to_uppercase();
            let answer = match (in_data, word.split(' ').next().unwrap_or_default()) {
                (true, ".") => {
                    in_data = false;
                    said.lock().unwrap().push(std::mem::take(&mut heard));
                    "250 kept\r\n"
                }
                (true, _) => "",
                (false, "DATA") if refusal.is_some() => refusal.unwrap_or_default(),
                (false, "DATA") => {
                    in_data = true;
                    "354 go on\r\n"
                }
                (false, "QUIT") => "221 bye\r\n",
                (false, _) => "250 ok\r\n",
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            line.clear();
        }
    })
    .await
}

fn email(address: SocketAddr, encryption: MailEncryption) -> AlertChannel {
    AlertChannel::Email {
        name: "mail".parse().unwrap(),
        server: address.ip().to_string(),
        port: Some(address.port()),
        encryption,
        from: "Univrs <alerts@example.org>".to_owned(),
        to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
        login: None,
        authority: None,
    }
}

#[tokio::test]
async fn mail_arrives_at_everyone_with_its_id() {
    let (address, said) = mail(None).await;
    FREE.deliver(&email(address, MailEncryption::None), &notice(), None).await.unwrap();
    let said = said.lock().unwrap();
    let [message] = said.as_slice() else { panic!("{said:?}") };
    for part in [
        "MAIL FROM:<alerts@example.org>",
        "RCPT TO:<a@example.org>",
        "RCPT TO:<b@example.org>",
        "Subject: [ERROR] resource_down of resource/db",
        "Message-ID: <resource_down-rs_1-3.acme@univrs>",
        "db does not serve: nobody answers",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[tokio::test]
async fn mail_that_cannot_be_sent_says_why_and_whether_to_try_again() {
    for (refusal, temporary) in [("451 later\r\n", true), ("554 never\r\n", false)] {
        let (address, _) = mail(Some(refusal)).await;
        let error = FREE.deliver(&email(address, MailEncryption::None), &notice(), None).await.unwrap_err();
        assert_eq!(error.temporary, temporary, "{error}");
    }
    // A server without encryption gets nothing when that was asked for.
    let (address, said) = mail(None).await;
    FREE.deliver(&email(address, MailEncryption::Starttls), &notice(), None).await.unwrap_err();
    assert!(said.lock().unwrap().is_empty());
    let error = GUARDED.deliver(&email(address, MailEncryption::None), &notice(), None).await.unwrap_err();
    assert!(!error.temporary && error.reason.contains("not a public address"), "{error}");
    let nobody = AlertChannel::Email {
        name: "mail".parse().unwrap(),
        server: "mail.example.org".to_owned(),
        port: None,
        encryption: MailEncryption::Starttls,
        from: "nobody".to_owned(),
        to: vec!["a@example.org".to_owned()],
        login: None,
        authority: None,
    };
    assert_eq!(FREE.check(&nobody).unwrap_err().field, "from");
}

/// A mail server that takes mail of `ops` with the password `pass` only, and only through TLS. Answers what it heard
/// before encryption, and mails.
async fn guarded_mail() -> (SocketAddr, Said, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key =
        tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (address, said) = serve(move |stream, said| {
        let acceptor = acceptor.clone();
        async move {
            let mut clear = BufReader::new(stream);
            let _ = clear.write_all(b"220 sink ESMTP\r\n").await;
            let mut line = String::new();
            loop {
                line.clear();
                if clear.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                assert!(!line.contains("AUTH"), "a login without encryption");
                if line.starts_with("STARTTLS") {
                    break;
                }
                let _ = clear.write_all(b"250-sink\r\n250 STARTTLS\r\n").await;
            }
            let _ = clear.write_all(b"220 go on\r\n").await;
            let Ok(sealed) = acceptor.accept(clear.into_inner()).await else { return };
            take_mail(BufReader::new(sealed), said).await;
        }
    })
    .await;
    (address, said, made.cert.pem())
}

async fn take_mail(mut stream: BufReader<tokio_rustls::server::TlsStream<TcpStream>>, said: Said) {
    let (mut heard, mut known, mut in_data) = (String::new(), false, false);
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
        let word = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let answer = match (in_data, word.as_str()) {
            (true, ".") => {
                in_data = false;
                said.lock().unwrap().push(std::mem::take(&mut heard));
                "250 kept\r\n"
            }
            (true, _) => {
                heard.push_str(&line);
                ""
            }
            (false, "EHLO") => "250-sink\r\n250 AUTH PLAIN\r\n",
            // `ops` and `pass`, as base64 of what RFC 4616 says.
            (false, "AUTH") => {
                known = line.trim_end() == "AUTH PLAIN AG9wcwBwYXNz";
                if known { "235 welcome\r\n" } else { "535 who are you\r\n" }
            }
            (false, "QUIT") => "221 bye\r\n",
            (false, _) if !known => "530 log in first\r\n",
            (false, "DATA") => {
                in_data = true;
                "354 go on\r\n"
            }
            (false, _) => "250 ok\r\n",
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        line.clear();
    }
}

#[tokio::test]
async fn mail_is_sent_with_a_login_through_encryption_only() {
    let (address, said, pem) = guarded_mail().await;
    let channel = |encryption, pem: Option<String>| {
        let mut channel = email(address, encryption);
        let AlertChannel::Email { login, authority, .. } = &mut channel else { unreachable!() };
        *login = Some(MailLogin { username: "ops".to_owned(), secret: "mail-password".parse().unwrap() });
        *authority = pem;
        channel
    };
    let right = SecretValue::new(b"pass\n".to_vec());
    let good = channel(MailEncryption::Starttls, Some(pem.clone()));
    FREE.check(&good).unwrap();
    FREE.deliver(&good, &notice(), Some(&right)).await.unwrap();
    assert!(said.lock().unwrap()[0].contains("db does not serve"));

    let wrong = SecretValue::new(b"no-such-password".to_vec());
    let error = FREE.deliver(&good, &notice(), Some(&wrong)).await.unwrap_err();
    assert!(!error.temporary && error.reason.contains("who are you"), "{error}");
    assert!(!error.reason.contains("no-such-password"), "{error}");
    let error = FREE.deliver(&good, &notice(), None).await.unwrap_err();
    assert!(!error.temporary && error.reason.contains("mail-password"), "{error}");
    // A server whose certificate nobody vouches for is told nothing.
    FREE.deliver(&channel(MailEncryption::Starttls, None), &notice(), Some(&right)).await.unwrap_err();
    let open = channel(MailEncryption::None, None);
    assert_eq!(FREE.check(&open).unwrap_err().field, "login");
    let error = FREE.deliver(&open, &notice(), Some(&right)).await.unwrap_err();
    assert!(!error.temporary && error.reason.contains("without encryption"), "{error}");
    let odd = channel(MailEncryption::Starttls, Some("x".to_owned()));
    assert_eq!(FREE.check(&odd).unwrap_err().field, "authority");
    assert_eq!(said.lock().unwrap().len(), 1);
}
