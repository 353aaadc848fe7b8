//! How the ingress is set up.

use std::time::Duration;

/// Limits and times of the ingress; the defaults suit most services.
#[derive(Clone, Debug)]
pub struct IngressOptions {
    /// How long a connection to an instance may take to come about.
    pub connect_timeout: Duration,
    /// How long an instance may take to begin its answer.
    pub response_timeout: Duration,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long an unused connection to an instance is kept.
    pub idle_timeout: Duration,
    /// How long an instance that failed gets no requests while others can take them.
    pub ejection: Duration,
    /// How many instances one request may try.
    pub attempts: usize,
    /// How many connections of clients may be open.
    pub max_connections: usize,
    /// How many header fields a request may have.
    pub max_headers: usize,
    /// How many bytes the head of a request may have.
    pub max_header_bytes: usize,
    /// How long requests may go on after the ingress was told to stop.
    pub grace: Duration,
    /// Whether clients are proxies whose `X-Forwarded-*` and `Forwarded` fields are true.
    pub trust_forwarded: bool,
}

impl Default for IngressOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(30),
            ejection: Duration::from_secs(5),
            attempts: 3,
            max_connections: 8192,
            max_headers: 100,
            max_header_bytes: 32 * 1024,
            grace: Duration::from_secs(10),
            trust_forwarded: false,
        }
    }
}
